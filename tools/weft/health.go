package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// stateSaid is what /readyz and /healthz answer.
type stateSaid struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

func healthCommand(sys system) *cobra.Command {
	var a api
	var live, asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tells whether a weft takes messages",
		Long: `Asks a weft whether it takes messages (/readyz), or with --live whether it is alive (/healthz), which it is while it
starts and drains, too. It needs no token. The exit code is what a container or a script wants: 0 if so, 5 if not, 4 if
nobody answers. Where the API has TLS, WEFT_CA_FILE and WEFT_SERVER_NAME in a container's environment say whom to trust.`,
		Example: `weft health                               # the weft on this machine
weft health --live --timeout 2s           # for a container's health check
weft health --api 10.1.2.3:7480 --json
WEFT_CA_FILE=ca.pem WEFT_SERVER_NAME=weft.example weft health         # the API has TLS`,
		Args: arguments(0, 0, "no argument"),
	}
	cmd.Flags().SortFlags = false
	a.flags(cmd, sys)
	cmd.Flags().BoolVar(&live, "live", false, "ask whether it is alive")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long the answer may take")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		path := "/readyz"
		if live {
			path = "/healthz"
		}
		said, ok, err := a.state(ctx, path)
		if err != nil {
			return err
		}
		if asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(said)
		} else {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said.words())
		}
		if err == nil && !ok {
			err = fail(exitFailed, errReported, "")
		}
		return err
	}
	return cmd
}

func (s stateSaid) words() string {
	if s.Reason == "" {
		return s.State
	}
	return s.State + ": " + s.Reason
}

// state asks for the state of a weft, and whether it is what the path asks for.
func (a *api) state(ctx context.Context, path string) (said stateSaid, ok bool, err error) {
	client := a.http()
	defer client.CloseIdleConnections()
	return a.stateBy(ctx, client, path)
}

// stateBy is state by a client of HTTP.
func (a *api) stateBy(ctx context.Context, client *http.Client, path string) (said stateSaid, ok bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url()+path, nil)
	if err != nil {
		return said, false, usageError("--api %q: %w", a.address, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		if own := (*failure)(nil); errors.As(err, &own) {
			return said, false, own
		}
		return said, false, fail(exitAPI, fmt.Errorf("no weft answers at %s: %w", a.address, errors.Unwrap(err)), "Say where it is: --api HOST:PORT, or "+apiVariable+".")
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(body, &said)
	}
	if err != nil || said.State == "" {
		return said, false, fail(exitAPI, fmt.Errorf("what answers at %s%s is not weft: %s", a.address, path, answer.Status), "The API's address is the one that \"weft run\" prints as api.")
	}
	return said, answer.StatusCode == http.StatusOK, nil
}
