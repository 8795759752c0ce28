package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/config"
)

// apiVariable names the API's address for clients, as it does for the server.
const apiVariable = "WEFT_API_ADDRESS"

// api is the API that a command talks to.
type api struct {
	address string
	secure  secure
}

func (a *api) flags(cmd *cobra.Command, sys system) {
	address := sys.getenv(apiVariable)
	if address == "" {
		address = config.Default().API.Address
	}
	cmd.Flags().StringVar(&a.address, "api", address, "`ADDRESS` of weft's API: HOST:PORT or a URL (also "+apiVariable+")")
	a.secure.flags(cmd)
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
	return weftv1connect.NewMessagesClient(a.secure.httpClient(), a.url())
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

// failed gives an error of a call its exit code and its remedy.
func (a *api) failed(err error) error {
	said := a.said(err)
	code := connect.CodeOf(err)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(said.Error(), "400 Bad Request") && !a.secure.wanted():
		return fail(exitAPI, fmt.Errorf("what answers at %s does not speak HTTP", a.address), "Where the API has TLS say so: --tls, or --ca FILE.")
	case a.secure.untrusted(err) != "":
		return fail(exitAPI, fmt.Errorf("weft at %s: %w", a.address, said), a.secure.untrusted(err))
	case connect.IsWireError(err) && code == connect.CodeUnavailable:
		return fail(exitAPI, fmt.Errorf("weft at %s does not serve now: %w", a.address, said), "It starts or shuts down. Try again in a moment.")
	case connect.IsWireError(err) && code == connect.CodeInvalidArgument:
		return fail(exitUsage, said, "")
	case connect.IsWireError(err) && code == connect.CodeResourceExhausted:
		return fail(exitRuntime, said, "Try again later.")
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
