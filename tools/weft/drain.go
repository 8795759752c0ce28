package main

import (
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

func drainCommand(sys system) *cobra.Command {
	var a asking
	var within time.Duration
	var confirm string
	var yes bool
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Ends a weft without losing what it has accepted",
		Long: `Ends a weft without losing what it has accepted: /readyz says no at once, nothing new is accepted, what was accepted is
delivered, and then the process ends, as it does by SIGTERM. What starts it again, a service manager say, may do so.

Dead letters are kept in memory and end with the process: they are no part of what is delivered. See to them before:
"weft deadletter list", replay, purge. It says how many there are, and the last line of weft's log how many were discarded.

It asks first, where a person can answer; a script says --yes, or --confirm NODE, which also makes sure that it is the
weft that is meant.`,
		Example: `weft drain
weft drain --within 1m --yes
weft drain --api 10.0.0.7:7480 --confirm edge-7`,
		Args: arguments(0, 0, "no argument"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := a.context(cmd)
		defer cancel()
		if err := a.confirmed(cmd, sys, yes, confirm); err != nil {
			return err
		}
		request := &weftv1.LifecycleDrainRequest{}
		if within != 0 {
			request.Deadline = durationpb.New(within)
		}
		r, err := weftv1connect.NewLifecycleClient(a.http(), a.url()).Drain(ctx, connect.NewRequest(request))
		if err != nil {
			return a.failed(err)
		}
		if a.json {
			return printPlain(cmd.OutOrStdout(), r.Msg)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "draining: %s open, %s under way; it ends within %s\n",
			plural(int(r.Msg.GetConnections()), "connection"), plural(int(max(r.Msg.GetInFlight(), 0)), "message"), r.Msg.GetDeadline().AsDuration())
		if n := r.Msg.GetDeadLetters(); n > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s kept in its memory, discarded with it: the next time see to them before (weft deadletter list, replay)\n", plural(int(n), "dead letter"))
		}
		return err
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.DurationVar(&within, "within", 0, "drop what is not delivered by then, 1h at most (0: drain of its configuration)")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.StringVar(&confirm, "confirm", "", "do not ask, if it is called `NODE`")
	a.flags(cmd, sys, "")
	return cmd
}

// confirmed makes sure that somebody means it.
func (a *asking) confirmed(cmd *cobra.Command, sys system, yes bool, confirm string) error {
	if yes {
		return nil
	}
	ctx, cancel := a.context(cmd)
	defer cancel()
	r, err := weftv1connect.NewOverviewClient(a.http(), a.url()).Get(ctx, connect.NewRequest(&weftv1.OverviewGetRequest{}))
	if err != nil {
		return a.failed(err)
	}
	node, signals := r.Msg.GetSnapshot().GetInstance().GetNode(), r.Msg.GetSnapshot().GetSignals()
	switch {
	case confirm == node:
		return nil
	case confirm != "":
		return fail(exitUsage, fmt.Errorf("--confirm %s: the weft at %s is called %s; nothing was done", confirm, a.address, node), "")
	case !isTerminal(sys.stdin):
		return fail(exitUsage, fmt.Errorf("nobody is here to ask whether %s is to end; nothing was done", node), "Say --yes, or --confirm "+node+".")
	}
	return answered(cmd, sys, question(node, signals))
}

// question is what a person is asked: what ends, and what would be gone with it.
func question(node string, signals *weftv1.Signals) string {
	warning := ""
	if n := signals.GetDeadLetters(); n > 0 {
		warning = plural(int(n), "dead letter") + " kept in its memory, discarded with it: weft deadletter list shows them, replay sends them again.\n"
	}
	return fmt.Sprintf("%sEnd %s (%s open, %.0f messages a second come in)", warning, node, plural(int(signals.GetSaturation().GetConnections()), "connection"), signals.GetInRate())
}
