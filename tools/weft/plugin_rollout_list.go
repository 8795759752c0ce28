package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// shownPlugin is a plugin as --json prints it.
type shownPlugin struct {
	Name        string            `json:"name"`
	File        string            `json:"file"`
	State       string            `json:"state"`
	Places      []string          `json:"places"`
	Generations []shownGeneration `json:"generations"`
	Trial       *shownTrial       `json:"trial,omitempty"`
	Last        *shownEvent       `json:"last,omitempty"`
	MemoryLimit uint64            `json:"memory_limit_bytes"`
}

type shownGeneration struct {
	Number uint64    `json:"number"`
	Role   string    `json:"role"`
	SHA256 string    `json:"sha256"`
	Source string    `json:"source"`
	Since  time.Time `json:"since"`
	// The counters are since the generation was loaded.
	Messages   uint64      `json:"messages"`
	Failed     uint64      `json:"failed"`
	Traps      uint64      `json:"traps"`
	FuelTraps  uint64      `json:"fuel_traps"`
	DepthTraps uint64      `json:"depth_traps"`
	Faults     uint64      `json:"faults"`
	Denied     uint64      `json:"denied"`
	Fuel       uint64      `json:"fuel"`
	FuelMost   uint64      `json:"fuel_most"`
	Busy       float64     `json:"busy_seconds"`
	Instances  uint32      `json:"instances"`
	Resting    uint32      `json:"resting"`
	Drift      *shownDrift `json:"drift,omitempty"`
}

type shownTrial struct {
	Mode     string  `json:"mode"`
	Weight   uint32  `json:"weight"`
	Manual   bool    `json:"manual"`
	Window   float64 `json:"window_seconds"`
	Messages uint64  `json:"messages"`
	Progress string  `json:"progress"`
}

type shownDrift struct {
	Compared uint64            `json:"compared"`
	Differed uint64            `json:"differed"`
	Fields   map[string]uint64 `json:"fields"`
	Samples  []shownSample     `json:"samples,omitempty"`
}

type shownSample struct {
	Time    time.Time   `json:"time"`
	Session uint64      `json:"session,string"`
	Fields  []string    `json:"fields"`
	Topic   string      `json:"topic"`
	Payload []byte      `json:"payload"`
	Live    shownAnswer `json:"live"`
	Shadow  shownAnswer `json:"shadow"`
}

type shownAnswer struct {
	Verdict    string            `json:"verdict"`
	Out        string            `json:"out,omitempty"`
	Topic      string            `json:"topic"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Payload    []byte            `json:"payload"`
	Emitted    uint32            `json:"emitted,omitempty"`
}

type shownEvent struct {
	Time       time.Time `json:"time"`
	What       string    `json:"what"`
	Generation uint64    `json:"generation"`
	Cause      string    `json:"cause"`
	Text       string    `json:"text"`
	// Drift is that of a shadow that the event ended.
	Drift *shownDrift `json:"drift,omitempty"`
}

func pluginListCommand(sys system) *cobra.Command {
	var r rolling
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list [NAME...]",
		Short: "Lists the plugins of a running weft with their generations",
		Long: `Lists the plugins of a running weft with their generations: the live one, the one on trial, and the one to go back
to. For a single plugin it also tells what happened last, and what a shadow answered otherwise.`,
		Example: `weft plugin list
weft plugin list filter
weft plugin list --json | jq '{name, state}'`,
		Args: arguments(0, -1, "names"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := r.context(cmd)
		defer cancel()
		answer, err := r.client().List(ctx, connect.NewRequest(&weftv1.PluginsListRequest{Names: args}))
		if err != nil {
			return r.failed(err, exitRuntime)
		}
		list := make([]shownPlugin, 0, len(answer.Msg.Plugins))
		for _, p := range answer.Msg.Plugins {
			list = append(list, toShown(p))
		}
		if asJSON {
			return printLines(cmd.OutOrStdout(), list, asIs)
		}
		if len(list) == 0 {
			note(cmd, "the configuration declares no plugins")
			return nil
		}
		if err := printPlugins(cmd.OutOrStdout(), list); err != nil {
			return err
		}
		if len(list) == 1 && len(args) == 1 {
			printDetails(cmd.OutOrStdout(), &list[0], answer.Msg.Plugins[0])
		}
		return nil
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&asJSON, "json", false, "print JSON, a plugin a line")
	r.flags(cmd, sys)
	return cmd
}

func toShown(p *weftv1.Plugin) shownPlugin {
	s := shownPlugin{
		Name: p.Name, File: p.File, Places: append([]string{}, p.Places...), MemoryLimit: p.MemoryLimitBytes,
		State: strings.ToLower(strings.TrimPrefix(p.State.String(), "PLUGIN_STATE_")),
	}
	for _, one := range []struct {
		role string
		g    *weftv1.Generation
	}{{"live", p.Live}, {"candidate", p.Candidate}, {"previous", p.Previous}} {
		if one.g != nil {
			s.Generations = append(s.Generations, toShownGeneration(one.role, one.g))
		}
	}
	if t := p.Trial; t != nil {
		mode := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(t.Mode.String(), "ROLLOUT_MODE_")), "_", "-")
		s.Trial = &shownTrial{mode, t.Weight, t.Manual, t.Window.AsDuration().Seconds(), t.Messages, t.Progress}
	}
	if e := p.Last; e != nil {
		s.Last = &shownEvent{asTime(e.Time), e.What, e.Generation, e.Cause, e.Text, toShownDrift(e.Drift)}
	}
	return s
}

func toShownGeneration(role string, g *weftv1.Generation) shownGeneration {
	st := g.GetStats()
	s := shownGeneration{
		Number: g.Number, Role: role, SHA256: g.Sha256, Source: g.Source, Since: asTime(g.Since),
		Messages: st.GetMessages(), Failed: st.GetFailed(), Traps: st.GetTraps(), FuelTraps: st.GetFuelTraps(), DepthTraps: st.GetDepthTraps(),
		Faults: st.GetFaults(), Denied: st.GetDenied(), Fuel: st.GetFuel(), FuelMost: st.GetFuelMost(), Busy: st.GetBusySeconds(),
		Instances: st.GetInstances(), Resting: st.GetResting(), Drift: toShownDrift(g.Drift),
	}
	return s
}

func toShownDrift(d *weftv1.Drift) *shownDrift {
	if d == nil {
		return nil
	}
	s := &shownDrift{Compared: d.Compared, Differed: d.Differed, Fields: map[string]uint64{
		"verdict": d.Verdict, "topic": d.Topic, "attributes": d.Attributes, "payload": d.Payload, "header": d.Header, "effects": d.Effects,
	}}
	for _, sample := range d.Samples {
		s.Samples = append(s.Samples, shownSample{
			Time: asTime(sample.Time), Session: sample.Session, Fields: sample.Fields, Topic: sample.Topic, Payload: sample.Payload,
			Live: toShownAnswer(sample.Live), Shadow: toShownAnswer(sample.Shadow),
		})
	}
	return s
}

func toShownAnswer(a *weftv1.SampleAnswer) shownAnswer {
	return shownAnswer{a.GetVerdict(), a.GetOut(), a.GetTopic(), a.GetAttributes(), a.GetPayload(), a.GetEmitted()}
}

func printPlugins(w io.Writer, list []shownPlugin) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PLUGIN\tGENERATION\tSTATE\tSHA-256\tMESSAGES\tFAILED\tFUEL/MSG\tTIME/MSG\tIN")
	for _, p := range list {
		for i, g := range p.Generations {
			name, places := p.Name, strings.Join(p.Places, ", ")
			if i > 0 {
				name, places = "", ""
			} else if places == "" {
				places = "no chain"
			}
			fmt.Fprintf(t, "%s\t%d\t%s\t%.12s\t%d\t%d\t%s\t%s\t%s\n", name, g.Number, roleText(&p, g.Role), g.SHA256, g.Messages, g.Failed,
				perMessage(float64(g.Fuel), g.Messages, ""), perMessage(g.Busy*1e6, g.Messages, "us"), places)
		}
	}
	return t.Flush()
}

// roleText is a generation's part, in a word or two.
func roleText(p *shownPlugin, role string) string {
	switch {
	case role == "candidate" && p.Trial != nil:
		return fmt.Sprintf("%s %d%%", p.Trial.Mode, p.Trial.Weight)
	case role == "live" && p.State == "watched":
		return "live, watched"
	}
	return role
}

func perMessage(sum float64, messages uint64, unit string) string {
	if messages == 0 || sum == 0 {
		return "-"
	}
	if unit == "" {
		return fmt.Sprintf("%.0f", sum/float64(messages))
	}
	return fmt.Sprintf("%.1f%s", sum/float64(messages), unit)
}

// printDetails tells more about one plugin.
func printDetails(w io.Writer, s *shownPlugin, p *weftv1.Plugin) {
	fmt.Fprintf(w, "\n%s\n", stateText(p))
	if s.Trial != nil && s.Trial.Progress != "" {
		fmt.Fprintf(w, "so far: %s\n", s.Trial.Progress)
	}
	if e := s.Last; e != nil {
		fmt.Fprintf(w, "last: %s generation %d %s (%s): %s\n", clockText(e.Time), e.Generation, e.What, e.Cause, printable(e.Text))
		if e.Drift != nil {
			printDrift(w, fmt.Sprintf("the shadow, generation %d, differed", e.Generation), e.Drift)
		}
	}
	for _, g := range s.Generations {
		if g.Drift != nil {
			printDrift(w, "differs", g.Drift)
		}
	}
}

func printDrift(w io.Writer, what string, d *shownDrift) {
	fmt.Fprintf(w, "%s in %d of %d messages:", what, d.Differed, d.Compared)
	for _, field := range []string{"verdict", "topic", "attributes", "payload", "header", "effects"} {
		fmt.Fprintf(w, " %s %d", field, d.Fields[field])
	}
	fmt.Fprintln(w)
	for _, s := range d.Samples {
		fmt.Fprintf(w, "  %s %s %s %s\n", clockText(s.Time), strings.Join(s.Fields, ","), printable(s.Topic), printable(shorten(string(s.Payload), 60)))
		fmt.Fprintf(w, "    live    %s\n    shadow  %s\n", answerText(&s.Live), answerText(&s.Shadow))
	}
}

func answerText(a *shownAnswer) string {
	text := a.Verdict
	if a.Out != "" {
		text += " " + printable(shorten(a.Out, 60))
	}
	text += fmt.Sprintf(" %s %s", printable(a.Topic), printable(shorten(string(a.Payload), 60)))
	if len(a.Attributes) > 0 {
		text += fmt.Sprintf(" %v", a.Attributes)
	}
	if a.Emitted > 0 {
		text += fmt.Sprintf(" and %d emitted", a.Emitted)
	}
	return text
}
