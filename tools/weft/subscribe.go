package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

type subscribing struct {
	api    api
	count  uint64
	wait   time.Duration
	buffer uint32
	as     string
	name   string // of a converter
	json   bool
}

// received is a message as --json prints it, one to a line. Of Text, JSON and
// Payload one is there.
type received struct {
	Topic      string            `json:"topic"`
	Time       time.Time         `json:"time"`
	Type       string            `json:"type"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Text       *string           `json:"text,omitempty"`
	JSON       json.RawMessage   `json:"json,omitempty"`
	Payload    []byte            `json:"payload,omitempty"` // base64
	Priority   uint32            `json:"priority,omitempty"`
	QoS        uint32            `json:"qos,omitempty"`
	Seq        uint64            `json:"seq,omitempty"`
	Session    uint64            `json:"session,omitempty,string"`
	Listener   string            `json:"listener,omitempty"`
	// ConversionError is why the payload is as it came.
	ConversionError string `json:"conversion_error,omitempty"`
}

// encodings are the values of --as.
var encodings = []string{"auto", "json", "text", "bytes"}

func subscribeCommand(sys system) *cobra.Command {
	var s subscribing
	cmd := &cobra.Command{
		Use:   "subscribe PATTERN...",
		Short: "Prints messages as they are delivered",
		Long: `Prints the messages whose topics match one of the patterns, through the API, until it is interrupted.

In a pattern "*" or "+" is one level of the topic and "#" at the end is all that follow.
A message is one line on stdout: time, topic, payload, then its attributes in brackets.`,
		Example: `weft subscribe 'alarm/#'
weft subscribe 'truck/*/telemetry' --json | jq .json.temperature
weft subscribe 'truck/7/#' --count 1 --wait 5s     # exit code 5 if none comes`,
		Args: arguments(1, -1, "at least one pattern, such as 'alarm/#' (in quotes: # begins a comment in a shell)"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&s.json, "json", false, "print each message as one line of JSON")
	f.StringVar(&s.as, "as", "auto", "the form of payloads: auto, json, text or bytes (hexadecimal)")
	f.StringVar(&s.name, "convert", "", "the `NAME` of a converter that payloads pass first")
	f.Uint64VarP(&s.count, "count", "n", 0, "end after so many messages (0: go on)")
	f.DurationVar(&s.wait, "wait", 0, "end after this long; with --count an error if fewer came (0: go on)")
	f.Uint32Var(&s.buffer, "buffer", 0, "how many messages may wait for this reader before it misses some (0: 1024)")
	s.api.flags(cmd, sys)
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(encodings, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *subscribing) run(cmd *cobra.Command, patterns []string) error {
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if s.wait > 0 {
		ctx, cancel = context.WithTimeout(ctx, s.wait)
	}
	defer cancel()
	as, ok := weftv1.Encoding_value["ENCODING_"+strings.ToUpper(s.as)]
	if !ok || as == 0 {
		return oneOf("as", s.as, encodings...)
	}
	request := &weftv1.SubscribeRequest{Patterns: patterns, Buffer: s.buffer, As: weftv1.Encoding(as), Converter: s.name}
	stream, err := s.api.client().Subscribe(ctx, connect.NewRequest(request))
	if err != nil {
		return s.ended(ctx, err, 0)
	}
	defer func() { _ = stream.Close() }()
	var seen, missed uint64
	for stream.Receive() {
		event := stream.Msg()
		if event.Missed > missed {
			note(cmd, "missed %d messages: they came faster than they were read (--buffer)", event.Missed-missed)
			missed = event.Missed
		}
		if event.GetSubscribed() != nil {
			note(cmd, "subscribed to %s; Ctrl-C ends", strings.Join(event.GetSubscribed().Patterns, " "))
		}
		m := event.GetMessage()
		if m == nil {
			continue
		}
		if m.ConversionError != "" && !s.json {
			note(cmd, "as it came: %s", m.ConversionError)
		}
		if err := s.print(cmd.OutOrStdout(), m); err != nil {
			return err
		}
		if seen++; seen == s.count {
			return nil
		}
	}
	return s.ended(ctx, stream.Err(), seen)
}

// ended is what the end of the stream means.
func (s *subscribing) ended(ctx context.Context, err error, seen uint64) error {
	// weft knows of the deadline, too, and may be the quicker one.
	over := errors.Is(ctx.Err(), context.DeadlineExceeded) || s.wait > 0 && connect.CodeOf(err) == connect.CodeDeadlineExceeded
	switch {
	case over && seen < s.count:
		return fail(exitFailed, fmt.Errorf("%d of %d messages came in %s", seen, s.count, s.wait), "")
	case over, ctx.Err() != nil:
		return nil // the person, or the time that was asked for, has ended it
	case err == nil:
		err = connect.NewError(connect.CodeUnavailable, io.EOF)
	}
	return s.api.failed(err)
}

func (s *subscribing) print(w io.Writer, m *weftv1.Message) error {
	if s.json {
		line, err := toReceived(m)
		if err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(line)
	}
	body, err := bodyText(m)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s %s %s", m.GetTime().AsTime().Local().Format("15:04:05.000"), m.Topic, body)
	var extra []string
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		extra = append(extra, name+"="+printable(m.Attributes[name]))
	}
	if len(extra) > 0 {
		line += " [" + strings.Join(extra, " ") + "]"
	}
	_, err = fmt.Fprintln(w, line)
	return err
}

// bodyText is a payload on one line: text and JSON as they are, bytes in
// hexadecimal.
func bodyText(m *weftv1.Message) (string, error) {
	switch body := m.Body.(type) {
	case *weftv1.Message_Text:
		return printable(body.Text), nil
	case *weftv1.Message_Json:
		b, err := compactJSON(body)
		return string(b), err
	case *weftv1.Message_Payload:
		return fmt.Sprintf("%x", body.Payload), nil
	}
	return "", nil
}

// printable keeps a line a line, and a terminal as it is.
func printable(s string) string {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

// compactJSON writes a value without spaces, which protojson adds at random.
func compactJSON(body *weftv1.Message_Json) (json.RawMessage, error) {
	b, err := protojson.Marshal(body.Json)
	if err != nil {
		return nil, fmt.Errorf("printing a JSON payload: %w", err)
	}
	return json.Marshal(json.RawMessage(b))
}

func toReceived(m *weftv1.Message) (received, error) {
	r := received{
		Topic: m.Topic, Time: m.GetTime().AsTime(), Type: typeName(m.Type), Attributes: m.Attributes,
		Priority: m.Priority, QoS: m.Qos, Seq: m.Seq, Session: m.Session, Listener: m.Listener, ConversionError: m.ConversionError,
	}
	switch body := m.Body.(type) {
	case *weftv1.Message_Text:
		r.Text = &body.Text
	case *weftv1.Message_Payload:
		r.Payload = body.Payload
	case *weftv1.Message_Json:
		b, err := compactJSON(body)
		if err != nil {
			return r, err
		}
		r.JSON = b
	}
	return r, nil
}

func typeName(t weftv1.Type) string {
	for name, value := range apiTypes {
		if value == t {
			return name
		}
	}
	return abi.TypeEvent.String()
}
