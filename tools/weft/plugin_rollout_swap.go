package main

import (
	"fmt"
	"os"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// swapping is swap, canary and shadow: a new generation, in three manners.
type swapping struct {
	rolling
	sys    system
	mode   weftv1.RolloutMode
	weight uint32
	manual bool
	dryRun bool
}

// maxSent is the largest module that the API takes, with room for the rest of the
// request.
const maxSent = 16<<20 - 4<<10

const modulePlace = `Without FILE, weft reads the plugin's own file again. A FILE is sent to it and lives until weft ends: at the next
start the plugin's own file decides.`

func pluginSwapCommand(sys system) *cobra.Command {
	s := swapping{sys: sys, mode: weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE}
	cmd := &cobra.Command{
		Use:   "swap NAME [FILE]",
		Short: "Puts a new generation in the place of the running one",
		Long: `Puts a new generation of a plugin in the place of the running one, between two batches: no message is lost, none
is handled twice. It is loaded and checked first; if anything is wrong with it, the running one goes on (exit code 3).
It is then watched, and taken back by itself if it breaks the plugin's rules (rollout.rollback).

` + modulePlace,
		Example: `weft plugin swap filter                   # its file has changed
weft plugin swap filter build/filter.wasm # another build
weft plugin swap filter --dry-run         # would it load?`,
	}
	return s.command(cmd)
}

func pluginCanaryCommand(sys system) *cobra.Command {
	s := swapping{sys: sys, mode: weftv1.RolloutMode_ROLLOUT_MODE_CANARY}
	cmd := &cobra.Command{
		Use:   "canary NAME [FILE]",
		Short: "Lets a new generation serve some of the sessions",
		Long: `Lets a new generation of a plugin serve some of the sessions beside the running one. A session stays on its side.
It is promoted by itself when it has kept the plugin's rules for their window, and taken back when it breaks one.

With --weight alone, while a canary runs, its share changes.

` + modulePlace,
		Example: `weft plugin canary filter                 # as many sessions as the configuration says
weft plugin canary filter v2.wasm --weight 5
weft plugin canary filter --weight 50     # more of them
weft plugin canary filter v2.wasm --manual`,
	}
	return s.command(cmd)
}

func pluginShadowCommand(sys system) *cobra.Command {
	s := swapping{sys: sys, mode: weftv1.RolloutMode_ROLLOUT_MODE_SHADOW}
	cmd := &cobra.Command{
		Use:   "shadow NAME [FILE]",
		Short: "Lets a new generation see messages, and compares its answers",
		Long: `Lets a new generation of a plugin see the messages of some sessions beside the running one. Nothing of what it does
is seen outside; its answers are compared, and weft plugin list shows what differs.

With --weight alone, while a shadow runs, its share changes.

` + modulePlace,
		Example: `weft plugin shadow filter v2.wasm
weft plugin shadow filter v2.wasm --weight 100 --manual
weft plugin list filter                   # what differs`,
	}
	return s.command(cmd)
}

func (s *swapping) command(cmd *cobra.Command) *cobra.Command {
	cmd.Args = arguments(1, 2, "a plugin's name and at most one file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) }
	f := cmd.Flags()
	f.SortFlags = false
	if s.mode != weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE {
		f.Uint32VarP(&s.weight, "weight", "w", 0, "of a hundred sessions (0: what the configuration says)")
		f.BoolVar(&s.manual, "manual", false, "wait for weft plugin promote")
	}
	f.BoolVar(&s.dryRun, "dry-run", false, "load and check it, and change nothing")
	s.flags(cmd, s.sys)
	return cmd
}

func (s *swapping) run(cmd *cobra.Command, args []string) error {
	if s.weight > 100 {
		return usageError("--weight %d: expected 1 to 100", s.weight)
	}
	ctx, cancel := s.context(cmd)
	defer cancel()
	request := &weftv1.PluginsSwapRequest{Name: args[0], Mode: s.mode, Weight: s.weight, Manual: s.manual, DryRun: s.dryRun}
	if len(args) == 2 {
		module, err := os.ReadFile(args[1])
		if err != nil {
			return fail(exitUsage, err, "")
		}
		if len(module) == 0 {
			return fail(exitUsage, fmt.Errorf("%s is empty: expected a WebAssembly module", args[1]), "")
		}
		if len(module) > maxSent {
			return fail(exitUsage, fmt.Errorf("%s has %d bytes: the API takes at most %d", args[1], len(module), maxSent),
				"Put it in the place of the plugin's own file, then: "+cmd.CommandPath()+" "+args[0])
		}
		request.Wasm = module
	} else if cmd.Flags().Changed("weight") && !s.dryRun {
		p, err := s.one(ctx, args[0])
		if err != nil {
			return err
		}
		if s.runs(p) {
			return s.weigh(cmd, args[0])
		}
	}
	answer, err := s.client().Swap(ctx, connect.NewRequest(request))
	if err != nil {
		return s.failed(err, exitConfig)
	}
	s.print(cmd, answer.Msg)
	return nil
}

// runs tells whether the plugin has a trial of the command's kind.
func (s *swapping) runs(p *weftv1.Plugin) bool {
	return p.Candidate != nil && p.Trial.GetMode() == s.mode
}

// weigh changes the share of the trial that runs.
func (s *swapping) weigh(cmd *cobra.Command, name string) error {
	if s.manual {
		return usageError("--manual is for a new trial; this one runs already")
	}
	ctx, cancel := s.context(cmd)
	defer cancel()
	answer, err := s.client().SetWeight(ctx, connect.NewRequest(&weftv1.PluginsSetWeightRequest{Name: name, Weight: s.weight}))
	if err != nil {
		return s.failed(err, exitRuntime)
	}
	after(cmd.OutOrStdout(), s.sys, answer.Msg.Plugin)
	return nil
}

func (s *swapping) print(cmd *cobra.Command, r *weftv1.PluginsSwapResponse) {
	w := cmd.OutOrStdout()
	switch {
	case r.Checked != nil:
		fmt.Fprintf(w, "%s: sha256:%s loads and would be generation %d; %s\n", r.Plugin.Name, r.Checked.Sha256, r.Checked.Number, stateText(r.Plugin))
	case r.Unchanged:
		fmt.Fprintf(w, "%s: nothing to do, it runs already; %s\n", r.Plugin.Name, stateText(r.Plugin))
	default:
		if s.mode != weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE && len(r.Plugin.Places) == 0 {
			note(cmd, "%s stands in no chain: no session can try it, so it took the place at once", r.Plugin.Name)
		}
		after(w, s.sys, r.Plugin)
	}
}
