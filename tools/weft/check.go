package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/server"
)

// finding is one thing that was checked, and what is wrong with it.
type finding struct {
	Group string   `json:"group"`
	Name  string   `json:"name"`
	OK    bool     `json:"ok"`
	Wrong []string `json:"wrong,omitempty"`
	// Warnings are no failures.
	Warnings []string `json:"warnings,omitempty"`
}

func checkCommand(sys system) *cobra.Command {
	var s source
	var asJSON, offline bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Says what is wrong with a configuration, and how to mend it",
		Long: `Checks a configuration as "weft run" would take it: the file, its frame declarations, its plugins (each is loaded with
its grants and configured), its listeners and routes, where it keeps
what must survive, and whether its addresses are free. It leaves nothing behind. What the weft that answers at the address of
its API has in use is a note and no failure: it is mostly the one that runs this configuration.`,
		Example: `weft check -c weft.yaml
weft check -c weft.yaml --no-addresses      # on another machine than the one that will run it
weft check -c weft.yaml --json`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := s.check(cmd, sys, !offline)
			if err := printFindings(cmd.OutOrStdout(), list, asJSON); err != nil {
				return err
			}
			for _, f := range list {
				if !f.OK {
					return &failure{code: exitConfig, err: errReported}
				}
			}
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	s.flags(cmd, sys)
	cmd.Flags().BoolVar(&offline, "no-addresses", false, "do not try whether the addresses are free, and the data folder")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// check goes through everything that can be found out without running.
func (s *source) check(cmd *cobra.Command, sys system, addresses bool) []finding {
	cfg, err := s.load(sys)
	file := s.file
	if s.example() {
		file = builtIn
	}
	list := []finding{found("config", file, err)}
	if err != nil {
		return list
	}
	if cfg.Blank() {
		list[0].Warnings = []string{"nothing stands in the file but comments at most: weft would start without listeners and routes, and a weft that runs would refuse it; " +
			"write listeners: [] if that is meant, or begin with weft run --example"}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Frames)) {
		declared := cfg.Frames[name]
		_, err := frame.Parse(name, declared.Doc)
		list = append(list, found("frames", name, inFile(err, cfg, declared)))
	}
	list = append(list, found("routes", "listeners, templates and routes", server.CheckSetup(cfg)))
	if cfg.API.Address != "" && len(cfg.API.Tokens) > 0 {
		f := found("access", "tokens of the API", server.CheckAccess(cfg))
		f.Warnings = exposedTokens(cfg)
		list = append(list, f)
	}
	for checked, err := range server.CheckPlugins(cmd.Context(), cfg, slog.New(slog.DiscardHandler)) {
		f := found("plugins", checked.Name, err)
		f.Warnings = checked.Warnings
		list = append(list, f)
	}
	list = append(list, outboxes(cfg)...)
	var running neighbour
	if addresses {
		running = beside(cmd.Context(), cfg)
	}
	switch folder, err := server.CheckBackbone(cfg); {
	case folder == "" || !addresses && inUse(err):
	case inUse(err):
		list = append(list, running.folderInUse(folder, err))
	default:
		list = append(list, found("backbone", folder, err))
	}
	list = append(list, filters(cfg)...)
	if addresses {
		list = append(list, tryAddresses(cfg, running)...)
	}
	return list
}

// filters tells whether the filters can be put into effect, and what keeps the kernel from
// enforcing them. That is a warning: weft does so itself.
func filters(cfg *config.Config) []finding {
	findings, err := server.CheckFilters(cfg)
	if err != nil {
		return []finding{found("filters", "listeners", err)}
	}
	if cfg.Kernel == nil {
		return nil
	}
	f := found("kernel", strings.Join(cfg.Kernel.Interfaces, " "), nil)
	for _, k := range findings {
		what := k.What
		if k.Fatal {
			what += "; weft will enforce the filters alone"
		}
		if k.Remedy != "" {
			what += ": " + k.Remedy
		}
		f.Warnings = append(f.Warnings, what)
	}
	return []finding{f}
}

// outboxes finds those that pause their publishers too late: reading stops when a turn
// ends, and by then many of them may have sent more than the outbox ever holds.
func outboxes(cfg *config.Config) (list []finding) {
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		if size := int64(l.Outbox.Size); l.Outbox.WhenFull == config.WhenFullPause && size*engine.HardFactor < engine.DefaultTurnBytes {
			f := found("outboxes", l.Name+" "+l.Outbox.Size.String(), nil)
			f.Warnings = []string{fmt.Sprintf("outbox.size: %s; publishers are paused when a turn ends, and one turn may bring %s for one receiver: what is beyond %d times the outbox is dropped (outbox_full); "+
				"write %s or more, or say by when_full what is to become of it (%s)", l.Outbox.Size, config.Size(engine.DefaultTurnBytes), engine.HardFactor,
				config.Size(engine.DefaultTurnBytes/engine.HardFactor), cfg.Place(fmt.Sprintf("listeners.%d.outbox.size", i)))}
			list = append(list, f)
		}
	}
	return list
}

// inFile gives the problems of a frame declaration their lines in the file.
func inFile(err error, cfg *config.Config, declared config.Frame) error {
	var faults *frame.DeclarationError
	if !errors.As(err, &faults) {
		return err
	}
	lines := make([]error, 0, len(faults.Problems))
	for _, p := range faults.Problems {
		text := fmt.Sprintf("%s: found %s, expected %s", p.Path, p.Found, p.Expected)
		if p.Hint != "" {
			text += ": " + p.Hint
		}
		if line := declared.FileLine(p.Line); line > 0 {
			text += fmt.Sprintf(" (%s:%d)", fileOf(cfg), line)
		}
		lines = append(lines, errors.New(text))
	}
	return errors.Join(lines...)
}

// networkOf is "udp" for datagrams, "tcp" for everything else.
func networkOf(l *config.Listener) string {
	if l.Frame == config.FrameDatagram {
		return "udp"
	}
	return "tcp"
}

func found(group, name string, err error) finding {
	f := finding{Group: group, Name: name, OK: err == nil}
	if err != nil {
		f.Wrong = strings.Split(strings.TrimSpace(err.Error()), "\n")
	}
	return f
}

// printFindings prints what was checked by group, each failure below its name.
func printFindings(w io.Writer, list []finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(list)
	}
	var b strings.Builder
	group, wrong, warned := "", 0, 0
	for _, f := range list {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "%s\n", group)
		}
		state := "ok   "
		switch {
		case !f.OK:
			state, wrong = "WRONG", wrong+1
		case len(f.Warnings) > 0:
			state = "warn "
		}
		fmt.Fprintf(&b, "  %s  %s\n", state, f.Name)
		for _, line := range append(f.Wrong, f.Warnings...) {
			fmt.Fprintf(&b, "         %s\n", line)
		}
		warned += len(f.Warnings)
	}
	if wrong > 0 {
		fmt.Fprintf(&b, "\n%d of %d checks failed\n", wrong, len(list))
		if len(list) == 1 {
			b.WriteString("Frames, routes, plugins and addresses are checked once the file is right.\n")
		}
	} else if warned > 0 {
		noun := "warnings"
		if warned == 1 {
			noun = "warning"
		}
		fmt.Fprintf(&b, "\nall %d checks passed, with %d %s\n", len(list), warned, noun)
	} else {
		fmt.Fprintf(&b, "\nall %d checks passed\n", len(list))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
