package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// rolling is what the commands about the generations of a running weft share.
type rolling struct {
	api     api
	timeout time.Duration
}

func (r *rolling) flags(cmd *cobra.Command, sys system) {
	cmd.ValidArgsFunction = r.complete
	cmd.Flags().DurationVar(&r.timeout, "timeout", time.Minute, "give up after this long")
	r.api.flags(cmd, sys)
}

func (r *rolling) client() weftv1connect.PluginsClient {
	return weftv1connect.NewPluginsClient(r.api.http(), r.api.url())
}

func (r *rolling) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), r.timeout)
}

// failed gives an error of a call its exit code and its remedy. refused is the code
// of what weft does not do.
func (r *rolling) failed(err error, refused int) error {
	said := r.api.said(err)
	if errors.Is(err, context.Canceled) || connect.CodeOf(err) == connect.CodeCanceled {
		return fail(exitRuntime, errors.New("interrupted"), "weft plugin list shows whether anything has changed.")
	}
	var e *connect.Error
	switch {
	case !errors.As(err, &e) || !connect.IsWireError(err):
	case e.Code() == connect.CodeNotFound:
		return fail(exitUsage, said, "")
	case e.Code() == connect.CodeFailedPrecondition:
		return fail(refused, errors.New(strings.TrimPrefix(said.Error(), "refused: ")), "Nothing has changed.")
	}
	return r.api.failed(err)
}

// one is the plugin as it is now.
func (r *rolling) one(ctx context.Context, name string) (*weftv1.Plugin, error) {
	found, err := r.client().List(ctx, connect.NewRequest(&weftv1.PluginsListRequest{Names: []string{name}}))
	if err != nil {
		return nil, r.failed(err, exitRuntime)
	}
	return found.Msg.Plugins[0], nil
}

// after prints the new state of a plugin and what can be done next.
func after(w io.Writer, sys system, p *weftv1.Plugin) {
	fmt.Fprintf(w, "%s: %s\n", p.Name, stateText(p))
	if p.Last.GetWhat() == "superseded" {
		fmt.Fprintf(w, "generation %d is not on trial any more: %s\n", p.Last.Generation, printable(p.Last.Text))
	}
	name := p.Name
	next := func(command, what string) { fmt.Fprintf(w, "  %-44s %s\n", sys.program+" plugin "+command, what) }
	next("list "+name, "how it does")
	switch p.State {
	case weftv1.PluginState_PLUGIN_STATE_CANARY:
		if weight := p.Trial.GetWeight(); weight < 100 {
			next(fmt.Sprintf("canary %s --weight %d", name, min(weight*2, 100)), "more sessions")
		}
		fallthrough
	case weftv1.PluginState_PLUGIN_STATE_SHADOW:
		next("promote "+name, fmt.Sprintf("generation %d for everybody", p.Candidate.GetNumber()))
		next("rollback "+name, fmt.Sprintf("generation %d alone again", p.Live.GetNumber()))
	default:
		if p.Previous != nil {
			next("rollback "+name, fmt.Sprintf("generation %d again", p.Previous.GetNumber()))
		}
	}
}

// stateText is how a plugin stands, in words.
func stateText(p *weftv1.Plugin) string {
	live := fmt.Sprintf("generation %d is live", p.Live.GetNumber())
	t := p.Trial
	until := "until somebody promotes it"
	if !t.GetManual() {
		until = fmt.Sprintf("promoted after %s and %d messages unless it breaks a rule", t.GetWindow().AsDuration(), t.GetMessages())
	}
	switch p.State {
	case weftv1.PluginState_PLUGIN_STATE_CANARY:
		return fmt.Sprintf("%s; generation %d serves %d%% of the sessions, %s", live, p.Candidate.GetNumber(), t.GetWeight(), until)
	case weftv1.PluginState_PLUGIN_STATE_SHADOW:
		return fmt.Sprintf("%s; generation %d sees %d%% of the sessions and is compared, %s", live, p.Candidate.GetNumber(), t.GetWeight(), until)
	case weftv1.PluginState_PLUGIN_STATE_WATCHED:
		return fmt.Sprintf("%s, watched for %s and %d messages", live, t.GetWindow().AsDuration(), t.GetMessages())
	}
	return live
}
