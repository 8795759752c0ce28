package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

type letterShowing struct {
	api     api
	hex     bool
	raw     string
	timeout time.Duration
	json    bool
}

// letterWhole is what show --json prints.
type letterWhole struct {
	letterLine
	Type     string            `json:"type"`
	Priority uint32            `json:"priority,omitempty"`
	QoS      uint32            `json:"qos,omitempty"`
	Seq      uint64            `json:"seq,omitempty"`
	Context  map[string]string `json:"context,omitempty"`
	Payload  []byte            `json:"payload"`         // base64
	Frame    []byte            `json:"frame,omitempty"` // base64
}

func deadLetterShowCommand(sys system) *cobra.Command {
	var s letterShowing
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Shows one dead letter with its bytes",
		Long: `Shows one dead letter: why it is one, the message as it reached the plugin that failed on it, and the frame as it was received.

Text is shown as text, other bytes in hexadecimal. What devices send may hold secrets.`,
		Example: `weft deadletter show 17
weft deadletter show 17 --hex
weft deadletter show 17 --raw frame >frame.bin       # the very bytes`,
		Args: arguments(1, 1, "the id of a letter, which weft deadletter list shows"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&s.hex, "hex", false, "show text in hexadecimal, too")
	f.StringVar(&s.raw, "raw", "", "write nothing but the bytes of the `PART`: payload or frame")
	f.BoolVar(&s.json, "json", false, "print JSON, bytes in base64")
	f.DurationVar(&s.timeout, "timeout", 10*time.Second, "give up after this long")
	cmd.MarkFlagsMutuallyExclusive("hex", "raw", "json")
	s.api.flags(cmd, sys)
	return cmd
}

func (s *letterShowing) run(cmd *cobra.Command, args []string) error {
	ids, err := letterIDs(args)
	if err != nil {
		return err
	}
	if s.raw != "" {
		if err := oneOf("raw", s.raw, "payload", "frame"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	r, err := s.api.deadLetters().Get(ctx, connect.NewRequest(&weftv1.DeadLettersGetRequest{Id: ids[0], As: weftv1.Encoding_ENCODING_BYTES}))
	if err != nil {
		return letterFailed(&s.api, err)
	}
	l, w := r.Msg.Letter, cmd.OutOrStdout()
	switch {
	case s.raw == "payload":
		_, err = w.Write(l.GetMessage().GetPayload())
	case s.raw == "frame" && l.Frame == nil:
		err = fail(exitRuntime, fmt.Errorf("letter %d came without a frame: it was emitted or published", l.Id), "--raw payload writes its payload.")
	case s.raw == "frame":
		_, err = w.Write(l.Frame)
	case s.json:
		m := l.Message
		err = json.NewEncoder(w).Encode(letterWhole{toLine(l), typeName(m.GetType()), m.GetPriority(), m.GetQos(), m.GetSeq(), l.Context, m.GetPayload(), l.Frame})
	default:
		err = s.print(w, l)
	}
	return err
}

func (s *letterShowing) print(w io.Writer, l *weftv1.DeadLetter) error {
	m := l.Message
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t"+format+"\n", append([]any{name}, args...)...)
	}
	fmt.Fprintf(t, "dead letter %d\n", l.Id)
	line("time", "%s", asTime(l.Time).Local().Format(time.RFC3339Nano))
	line("cause", "%s", l.Cause)
	if l.Text != "" {
		line("why", "%s", printable(l.Text))
	}
	if l.Plugin != "" {
		line("plugin", "%s", generationText(l.Plugin, l.Generation))
	}
	line("hook", "%s", l.Hook)
	line("listener", "%s", orDash(l.Listener))
	if m.GetSession() != 0 {
		line("session", "%d %s", m.GetSession(), l.Remote)
	}
	line("topic", "%s", printable(m.GetTopic()))
	line("type", "%s, priority %d, qos %d, seq %d", typeName(m.GetType()), m.GetPriority(), m.GetQos(), m.GetSeq())
	if text := valuesText(m.GetAttributes()); text != "" {
		line("attributes", "%s", text)
	}
	if text := valuesText(l.Context); text != "" {
		line("context", "%s", text)
	}
	if l.Attempts > 0 {
		line("replayed", "%s, last: %s", plural(int(l.Attempts), "time"), printable(l.LastResult))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\npayload as it was when it failed, %s\n%s", plural(int(l.PayloadSize), "byte"), s.bytes(m.GetPayload()))
	if l.Frame == nil {
		_, err := fmt.Fprintln(w, "\nno frame: the message was emitted or published")
		return err
	}
	_, err := fmt.Fprintf(w, "\nframe as it was received, %s\n%s", plural(int(l.FrameSize), "byte"), s.bytes(l.Frame))
	return err
}

// valuesText is named values on one line, by name.
func valuesText(values map[string]string) string {
	list := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, printable(name)+"="+printable(values[name]))
	}
	return strings.Join(list, " ")
}

// bytes shows bytes: text as it is where it does no harm to a terminal, anything
// else in hexadecimal.
func (s *letterShowing) bytes(b []byte) string {
	if len(b) == 0 {
		return "  -\n"
	}
	lines := hex.Dump(b)
	flat := strings.NewReplacer("\n", "", "\r", "", "\t", "").Replace(string(b))
	if !s.hex && utf8.Valid(b) && printable(flat) == flat {
		lines = string(b)
	}
	return "  " + strings.ReplaceAll(strings.TrimRight(lines, "\n"), "\n", "\n  ") + "\n"
}
