package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
)

type sending struct {
	to, kind, file, preface string
	websocket               string
	wire                    wire
	secure                  secure
	seq                     uint64
	priority                uint8
	attributes              []string
	hex, json, follow       bool
	wait                    time.Duration
}

// answer is the frame that came back, as --json prints it.
type answer struct {
	Type       string            `json:"type"`
	Seq        uint64            `json:"seq"`
	Priority   uint8             `json:"priority"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Text       *string           `json:"text,omitempty"`
	Payload    []byte            `json:"payload,omitempty"` // base64
}

func sendCommand(sys system) *cobra.Command {
	var s sending
	cmd := &cobra.Command{
		Use:   "send [PAYLOAD]",
		Short: "Sends one frame to a listener and prints the answer",
		Long: `Connects to a listener, sends one frame, and prints the first frame that comes back.
Exit code 1: none came in time. With --wait 0, and after an event, it does not wait for one.`,
		Example: `weft send --to 127.0.0.1:7401 --frame line 'hello'
weft send --to 127.0.0.1:7400 --preface "$(weft token --subject truck-7)" --wait 0 '{"temp":9.5}'
weft send --to 127.0.0.1:7500 --frame mcp-node --attr node_id=3 --hex 0102ff`,
		Args: arguments(0, 1, "at most one payload"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&s.to, "to", "127.0.0.1:7400", "the listener's `ADDRESS`")
	s.wire.flags(cmd, "mcp-seq")
	s.secure.flags(cmd)
	f.StringVar(&s.websocket, "websocket", "", "speak WebSocket at this `PATH` of the listener")
	f.StringVar(&s.preface, "preface", "", "`PAYLOAD` of a frame to send first, such as a token; its answer is awaited and shown on stderr")
	f.StringVar(&s.kind, "type", "request", "event, request, response or ack, where the format can say so")
	f.Uint64Var(&s.seq, "seq", 1, "sequence id")
	f.Uint8Var(&s.priority, "priority", 0, "0 to 7")
	f.StringArrayVarP(&s.attributes, "attr", "a", nil, "an attribute that the format maps to a field, `NAME=VALUE` (repeatable)")
	f.StringVar(&s.file, "file", "", "read the payload from this `FILE`; - is stdin")
	f.BoolVar(&s.hex, "hex", false, "the payload is hexadecimal; the answer is printed so, too")
	f.DurationVar(&s.wait, "wait", 2*time.Second, "how long to wait for the answer; 0: do not wait")
	f.BoolVar(&s.follow, "follow", false, "print everything that comes, until Ctrl-C")
	f.BoolVar(&s.json, "json", false, "print the answer as JSON")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"event", "request", "response", "ack"}, cobra.ShellCompDirectiveNoFileComp))
	_ = sys
	return cmd
}

func (s *sending) run(cmd *cobra.Command, args []string) error {
	var format *frame.Format
	var err error
	if !s.wire.datagrams() {
		if format, err = s.wire.format(); err != nil {
			return err
		}
	}
	m, err := s.message(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	secret, err := s.secure.over(s.to)
	if err != nil {
		return err
	}
	if format == nil {
		return s.datagrams(cmd, &m)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.to)
	if err != nil {
		return fail(exitRuntime, err, "Is a weft running there? \"weft run\" prints the addresses of its listeners; --to names one.")
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if secret != nil {
		over := tls.Client(conn, secret)
		if err := over.HandshakeContext(ctx); err != nil {
			return fail(exitRuntime, fmt.Errorf("TLS with %s: %w", s.to, err), s.secure.untrusted(err))
		}
		conn = over
	}
	if s.websocket != "" {
		_ = conn.SetDeadline(time.Now().Add(max(s.wait, greeted)))
		if conn, err = load.DialedWebSocket(conn, s.websocket, format.Name(), format.Text()); err != nil {
			return fail(exitRuntime, err, "Does the listener have websocket: {path: "+s.websocket+"}?")
		}
		_ = conn.SetDeadline(time.Time{})
	}
	return s.exchange(cmd, &exchange{conn: conn, format: format.Peer()}, &m)
}

// greeted is how long a handshake and a preface's answer may take at least, whatever --wait says.
const greeted = 5 * time.Second

// exchange sends the message and waits for what comes back.
func (s *sending) exchange(cmd *cobra.Command, x *exchange, m *abi.Message) error {
	if s.preface != "" {
		if err := s.introduce(cmd, x); err != nil {
			return err
		}
	}
	if err := x.send(m); err != nil {
		return err
	}
	if s.follow {
		return s.listen(cmd, x)
	}
	if s.wait == 0 || m.Type == abi.TypeEvent && !cmd.Flags().Changed("wait") {
		return nil
	}
	got, err := x.receive(s.wait)
	if err != nil {
		return s.silence(err)
	}
	return s.print(cmd.OutOrStdout(), &got)
}

// listen prints what comes until it is interrupted.
func (s *sending) listen(cmd *cobra.Command, x *exchange) error {
	for {
		got, err := x.receive(24 * time.Hour)
		if cmd.Context().Err() != nil {
			return nil
		}
		if err != nil {
			return s.silence(err)
		}
		if err := s.print(cmd.OutOrStdout(), &got); err != nil {
			return err
		}
	}
}

// introduce sends the preface and waits for its answer.
func (s *sending) introduce(cmd *cobra.Command, x *exchange) error {
	if err := x.send(&abi.Message{Type: abi.TypeRequest, Payload: []byte(s.preface)}); err != nil {
		return err
	}
	within := max(s.wait, greeted)
	got, err := x.receive(within)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fail(exitRuntime, fmt.Errorf("no answer to the preface came in %s", within), "Does the listener answer a first frame (a plugin such as std:auth-token)? --wait gives it longer.")
		}
		return s.silence(fmt.Errorf("after the preface: %w", err))
	}
	note(cmd, "%s", printable(string(got.Payload)))
	return nil
}

func (s *sending) silence(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(exitRuntime, fmt.Errorf("no answer came in %s", s.wait), "--wait gives it longer; --wait 0 does not wait.")
	case errors.Is(err, io.EOF):
		return fail(exitRuntime, errors.New("weft closed the connection without an answer"),
			"Its log says why (a refused token, a frame that is none); with --set log.level=debug in detail.")
	}
	return fail(exitRuntime, err, s.secure.untrusted(err))
}

func (s *sending) message(stdin io.Reader, args []string) (abi.Message, error) {
	m := abi.Message{Seq: s.seq, Priority: s.priority}
	if s.priority > abi.MaxPriority {
		return m, usageError("--priority %d: expected 0 to %d", s.priority, abi.MaxPriority)
	}
	found := false
	for _, t := range []abi.Type{abi.TypeEvent, abi.TypeRequest, abi.TypeResponse, abi.TypeAck} {
		if t.String() == s.kind {
			m.Type, found = t, true
		}
	}
	if !found {
		return m, usageError("--type %q: expected event, request, response or ack", s.kind)
	}
	attributes, err := pairs("attr", s.attributes)
	if err != nil {
		return m, err
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		m.Attrs = m.Attrs.AppendString(name, attributes[name])
	}
	m.Payload, err = s.payload(stdin, args)
	return m, err
}

func (s *sending) payload(stdin io.Reader, args []string) ([]byte, error) {
	var b []byte
	switch {
	case s.file != "" && len(args) > 0:
		return nil, usageError("a payload and --file exclude each other")
	case s.file == "-":
		all, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
		if err != nil {
			return nil, fail(exitRuntime, fmt.Errorf("reading stdin: %w", err), "")
		}
		b = all
	case s.file != "":
		all, err := os.ReadFile(s.file)
		if err != nil {
			return nil, fail(exitRuntime, err, "")
		}
		b = all
	case len(args) > 0:
		b = []byte(args[0])
	}
	if s.hex {
		text := bytes.Join(bytes.Fields(b), nil)
		raw := make([]byte, hex.DecodedLen(len(text)))
		n, err := hex.Decode(raw, text)
		if err != nil {
			return nil, usageError("--hex: %w: expected an even number of hexadecimal digits", err)
		}
		b = raw[:n]
	}
	if len(b) > maxInput {
		return nil, usageError("the payload is longer than %d bytes", maxInput)
	}
	return b, nil
}

func (s *sending) print(w io.Writer, m *abi.Message) error {
	if s.json {
		a := answer{Type: m.Type.String(), Seq: m.Seq, Priority: m.Priority}
		for name, value := range m.Attrs.All() {
			if a.Attributes == nil {
				a.Attributes = map[string]string{}
			}
			a.Attributes[string(name)] = string(value)
		}
		if text := string(m.Payload); utf8.ValidString(text) && !s.hex {
			a.Text = &text
		} else {
			a.Payload = m.Payload
		}
		return json.NewEncoder(w).Encode(a)
	}
	text := string(m.Payload)
	if s.hex || !utf8.ValidString(text) {
		text = hex.EncodeToString(m.Payload)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// exchange sends and receives frames on one connection.
type exchange struct {
	conn    net.Conn
	format  codec
	pending []byte
}

func (x *exchange) send(m *abi.Message) error {
	b, err := x.format.Append(nil, m)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("the message does not fit the frame format: %w", err), "")
	}
	if _, err := x.conn.Write(b); err != nil {
		return fail(exitRuntime, err, "")
	}
	return nil
}

// receive waits for the next frame that is no heartbeat.
func (x *exchange) receive(wait time.Duration) (abi.Message, error) {
	if err := x.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return abi.Message{}, err
	}
	chunk := make([]byte, 64<<10)
	for {
		var m abi.Message
		n, _, err := x.format.Decode(x.pending, nil, &m)
		switch {
		case n == 0 && err != nil:
			return m, fmt.Errorf("what came is no frame of the format: %w", err)
		case n > 0:
			x.pending = bytes.Clone(x.pending[n:])
			if err == nil && m.Type != abi.TypeHeartbeat {
				return m, nil
			}
			continue
		}
		n, err = x.conn.Read(chunk)
		if err != nil {
			return m, err
		}
		x.pending = append(x.pending, chunk[:n]...)
	}
}
