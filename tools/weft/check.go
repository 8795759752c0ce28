package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
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
its grants and configured), its listeners and routes, and whether its addresses are free. It changes nothing.`,
		Example: `weft check -c weft.yaml
weft check -c weft.yaml --no-addresses      # while weft runs
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
	cmd.Flags().BoolVar(&offline, "no-addresses", false, "do not try whether the addresses are free")
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
	for _, name := range slices.Sorted(maps.Keys(cfg.Frames)) {
		declared := cfg.Frames[name]
		_, err := frame.Parse(name, declared.Doc)
		list = append(list, found("frames", name, inFile(err, cfg, declared)))
	}
	list = append(list, found("routes", "listeners, templates and routes", server.CheckSetup(cfg)))
	for checked, err := range server.CheckPlugins(cmd.Context(), cfg, slog.New(slog.DiscardHandler)) {
		f := found("plugins", checked.Name, err)
		f.Warnings = checked.Warnings
		list = append(list, f)
	}
	list = append(list, outboxes(cfg)...)
	if !addresses {
		return list
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		list = append(list, found("addresses", l.Name+" "+l.Address, free(networkOf(l), l.Address)))
	}
	if cfg.API.Address != "" {
		list = append(list, found("addresses", "api "+cfg.API.Address, free("tcp", cfg.API.Address)))
	}
	return list
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

// free tells whether an address can be listened on.
func free(network, address string) error {
	var l io.Closer
	var err error
	shown := "ss -ltnp"
	if network == "udp" {
		shown = "ss -lunp"
		l, err = net.ListenPacket(network, address)
	} else {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return fmt.Errorf("%w: stop the process that listens there (%s shows it), choose another address, or pass --no-addresses", err, shown)
	}
	return l.Close()
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
