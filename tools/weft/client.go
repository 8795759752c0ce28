package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/config"
)

// apiVariable names the API's address for clients, as it does for the server.
const apiVariable = "WEFT_API_ADDRESS"

// tokenVariable names the file of the token that clients show.
const tokenVariable = "WEFT_TOKEN_FILE"

// secureVariables name what stands for the flags of TLS, for all commands that ask the API:
// a container's health check has no other place for them.
var secureVariables = map[string]string{"ca": "WEFT_CA_FILE", "cert": "WEFT_CERT_FILE", "cert-key": "WEFT_CERT_KEY_FILE", "server-name": "WEFT_SERVER_NAME"}

// clientVariables are the variables that begin with WEFT_ and are no keys of the
// configuration: weft may run where they are set.
func clientVariables() []string {
	return append(slices.Collect(maps.Values(secureVariables)), tokenVariable)
}

// api is the API that a command talks to.
type api struct {
	address string
	token   string // the file that holds it
	secure  secure
}

func (a *api) flags(cmd *cobra.Command, sys system) {
	address := sys.getenv(apiVariable)
	if address == "" {
		address = config.Default().API.Address
	}
	cmd.Flags().StringVar(&a.address, "api", address, "`ADDRESS` of weft's API: HOST:PORT or a URL (also "+apiVariable+")")
	cmd.Flags().StringVar(&a.token, "token-file", sys.getenv(tokenVariable), "`FILE` of the token to show, where the API asks for one (also "+tokenVariable+")")
	a.secure.flags(cmd)
	for name, variable := range secureVariables {
		f := cmd.Flags().Lookup(name)
		f.Usage += " (also " + variable + ")"
		f.DefValue = sys.getenv(variable)
		_ = f.Value.Set(f.DefValue) // text takes any
	}
}

// http is the client of HTTP that shows the token.
func (a *api) http() *http.Client {
	client := a.secure.httpClient()
	if a.token == "" {
		return client
	}
	text, err := os.ReadFile(a.token)
	if err != nil {
		return &http.Client{Transport: broken{fail(exitUsage, fmt.Errorf("--token-file: %w", err), "")}}
	}
	return &http.Client{Transport: bearer{strings.TrimSpace(string(text)), client.Transport}}
}

// bearer shows a token with every request.
type bearer struct {
	token string
	over  http.RoundTripper // nil: http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	if b.over == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return b.over.RoundTrip(r)
}

// url is the API's base URL.
func (a *api) url() string {
	if strings.Contains(a.address, "://") {
		return strings.TrimSuffix(a.address, "/")
	}
	if a.secure.wanted() {
		return "https://" + a.address
	}
	return "http://" + a.address
}

func (a *api) client() weftv1connect.MessagesClient {
	return weftv1connect.NewMessagesClient(a.http(), a.url())
}

// said is an error of a call in the words of who answered.
func (a *api) said(err error) error {
	var e *connect.Error
	if errors.As(err, &e) {
		return errors.New(e.Message())
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// cutOff tells whether who answered went away before the answer was complete.
func cutOff(err error) bool {
	if connect.IsWireError(err) {
		return false
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return true
	}
	text := err.Error()
	return slices.ContainsFunc([]string{"incomplete envelope", "unexpected EOF", "stream error: stream ID"}, func(part string) bool { return strings.Contains(text, part) })
}

// failed gives an error of a call its exit code and its remedy.
func (a *api) failed(err error) error {
	if own := (*failure)(nil); errors.As(err, &own) {
		return own // before anything was sent
	}
	said := a.said(err)
	code := connect.CodeOf(err)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(said.Error(), "400 Bad Request") && !a.secure.wanted():
		return fail(exitAPI, fmt.Errorf("what answers at %s does not speak HTTP", a.address), "Where the API has TLS say so: --tls, or --ca FILE.")
	case a.secure.untrusted(err) != "":
		return fail(exitAPI, fmt.Errorf("weft at %s: %w", a.address, said), a.secure.untrusted(err))
	case code == connect.CodeUnauthenticated:
		return fail(exitAPI, fmt.Errorf("weft at %s does not know who asks: %w", a.address, said),
			"Show a token that it knows: --token-file FILE, or "+tokenVariable+"; or a certificate: --cert FILE --cert-key FILE.")
	case code == connect.CodePermissionDenied:
		return fail(exitAPI, fmt.Errorf("weft at %s does not allow it: %w", a.address, said), "Show a token with another role (api.tokens): --token-file FILE.")
	case connect.IsWireError(err) && code == connect.CodeUnavailable:
		return fail(exitAPI, fmt.Errorf("weft at %s does not serve now: %w", a.address, said), "It starts or shuts down. Try again in a moment.")
	case connect.IsWireError(err) && (code == connect.CodeInvalidArgument || code == connect.CodeNotFound):
		return fail(exitUsage, said, "") // what the command line names is wrong, or not there
	case connect.IsWireError(err) && code == connect.CodeResourceExhausted:
		return fail(exitRuntime, said, "Try again later.")
	case cutOff(err):
		return fail(exitAPI, fmt.Errorf("weft at %s is gone: the connection ended in the middle of an answer", a.address),
			"It was stopped, or has failed, or what is between cuts connections. weft health says whether it is back.")
	case code == connect.CodeUnavailable:
		return fail(exitAPI, fmt.Errorf("no weft answers at %s: %w", a.address, said),
			"Start one with \"weft run\", or say where it is: --api HOST:PORT, or "+apiVariable+".")
	case code == connect.CodeDeadlineExceeded:
		return fail(exitAPI, fmt.Errorf("weft at %s did not answer in time", a.address), "--timeout gives it longer.")
	case code == connect.CodeUnimplemented || code == connect.CodeUnknown:
		return fail(exitAPI, fmt.Errorf("what answers at %s is not weft's API: %w", a.address, said),
			"The API's address is the one that \"weft run\" prints as api; name it with --api HOST:PORT.")
	}
	return fail(exitRuntime, fmt.Errorf("%s: %w", code, said), "")
}
