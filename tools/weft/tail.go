package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

func tailCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var want weftv1.TailRequest
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Shows messages on their way: what each plugin did, what it cost, where they went",
		Long: `Shows some of the messages that pass, each when it has gone its way: as it came, what every plugin did with it (verdict, changes, its share of
the call's time and fuel), which route it took, and how many receivers took it.

It samples: --rate says how many it shows at most, and the last line says how many passed meanwhile. Payloads and values are cut (--cut).
What it shows is what devices said: secrets too. While nobody looks it costs nothing.`,
		Example: `weft tail
weft tail --topic 'alarm/#'                      # as it came, or as it left the plugins
weft tail --troubled                             # dropped, dead, or failed on
weft tail --plugin filter --json | jq .steps`,
		Args: arguments(0, 0, "no arguments; --topic and other flags choose"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client := weftv1connect.NewTrafficClient(a.http(), a.url())
		stream, err := client.Tail(cmd.Context(), connect.NewRequest(&want))
		if err != nil {
			return a.failed(err)
		}
		defer func() { _ = stream.Close() }()
		last := &weftv1.TailResponse{}
		shown := uint64(0)
		for stream.Receive() {
			last = stream.Msg()
			m := last.GetMessage()
			if m == nil {
				continue
			}
			shown++
			if err := printTailed(cmd.OutOrStdout(), m, asJSON); err != nil {
				return err
			}
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d shown of %d that passed; %d were looked at, %d more were chosen and too many\n", shown, last.GetPassed(), last.GetLooked(), last.GetMissed())
		if err := stream.Err(); err != nil && cmd.Context().Err() == nil {
			return a.failed(err)
		}
		return nil
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&want.Listener, "listener", "", "only what came by this `LISTENER`")
	f.StringArrayVar(&want.Topics, "topic", nil, "only what has a topic, as it came or as it left, that matches this `PATTERN`; may be given again")
	f.StringVar(&want.Connection, "connection", "", "only what came by this connection, by its `ID` (weft connection list)")
	f.StringVar(&want.Plugin, "plugin", "", "only what this `PLUGIN` saw")
	f.BoolVar(&want.Troubled, "troubled", false, "only what was not delivered, or what a plugin failed on")
	f.Uint32Var(&want.Rate, "rate", 20, "show at most so many a second, 1000 at most")
	f.Uint64VarP(&want.Count, "count", "n", 0, "end after so many (0: until Ctrl-C)")
	f.Uint32Var(&want.Cut, "cut", 256, "cut payloads and values to so many bytes, 4096 at most")
	f.BoolVar(&asJSON, "json", false, "print JSON, a message a line")
	a.flags(cmd, sys)
	return cmd
}

// printTailed prints one message and its way.
func printTailed(w io.Writer, m *weftv1.TailMessage, asJSON bool) error {
	if asJSON {
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: false}.Marshal(m)
		if err != nil {
			return err
		}
		var compact any // protojson puts blanks at random
		if err := json.Unmarshal(text, &compact); err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(compact)
	}
	var b strings.Builder
	topic := m.GetTopic()
	if after := m.GetTopicAfter(); after != "" {
		topic += " -> " + after
	}
	fmt.Fprintf(&b, "%s  %s  %s  %s  %s\n", m.GetTime().AsTime().Local().Format("15:04:05.000"), m.GetListener(), cmp.Or(m.GetRemote(), "-"), topic, ending(m))
	fmt.Fprintf(&b, "    %s\n", visible(m.GetPayload(), m.GetSize()))
	for _, s := range m.GetSteps() {
		fmt.Fprintf(&b, "    %-16s %-9s %8s %7d fuel%s\n", s.GetPlugin(), stepVerdict(s), s.GetTook().AsDuration().Round(10*time.Nanosecond), s.GetFuel(), stepDetail(s))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ending is what became of a message, in words.
func ending(m *weftv1.TailMessage) string {
	text := m.GetResult()
	if m.GetReason() != "" {
		text += ": " + m.GetReason()
	}
	var to []string
	for _, p := range m.GetPlaces() {
		if p.GetCopies() > 1 {
			to = append(to, fmt.Sprintf("%s (%d)", p.GetTo(), p.GetCopies()))
		} else {
			to = append(to, p.GetTo())
		}
	}
	if len(to) > 0 && m.GetResult() != "dropped" {
		text += " to " + strings.Join(to, ", ")
	}
	if m.GetRoute() != "" {
		text += " by " + m.GetRoute()
	}
	return text + " in " + m.GetTook().AsDuration().Round(time.Microsecond).String()
}

// stepVerdict is what a plugin decided; how it failed, if it did.
func stepVerdict(s *weftv1.TailStep) string {
	if c := s.GetCause(); c != "" && c != "plugin" {
		return c
	}
	return s.GetVerdict()
}

func stepDetail(s *weftv1.TailStep) string {
	var parts []string
	for _, c := range s.GetChanges() {
		parts = append(parts, fmt.Sprintf("%s: %q -> %q", c.GetWhat(), c.GetBefore(), c.GetAfter()))
	}
	if s.GetOut() != "" {
		parts = append(parts, fmt.Sprintf("%q", s.GetOut()))
	}
	if n := s.GetEmitted(); n > 0 {
		parts = append(parts, fmt.Sprintf("made %d", n))
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, ", ")
}

// visible is a payload on one line: text as it is, anything else in hexadecimal.
func visible(payload []byte, size uint64) string {
	text := string(payload)
	if strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		text = fmt.Sprintf("% x", payload)
	}
	if uint64(len(payload)) < size {
		text += fmt.Sprintf(" ... (%s)", bytesText(int64(size)))
	}
	return cmp.Or(text, "(empty)")
}
