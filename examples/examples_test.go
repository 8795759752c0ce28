// Package examples_test replays the transcripts of the examples against a real
// weft.
package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/server"
	"github.com/weftrun/weft/tools/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// demoKey is the key of the default configuration.
const demoKey = "weft-demo-key-do-not-use-elsewhere"

// transcript is the file transcript.yaml of an example.
type transcript struct {
	Config string
	// Services are HTTP servers that stand for the members of pools: what each begins
	// its answers with.
	Services map[string]string
	Steps    []step
}

// step is one thing that happens, or that must have happened.
type step struct {
	Client  string
	Connect string
	Send    *message
	Hear    *message
	Closed  bool
	Watch   string
	See     *message
	Publish *message
}

// message is what a step sends or expects; what is empty is not looked at.
type message struct {
	Pattern    string
	Topic      string
	Type       string
	Seq        uint64
	Payload    string
	Hex        string // Payload, where it is no text
	Attributes map[string]string
	Token      *claims // signed with the demonstration's key
	Forged     *claims // signed with another
}

type claims struct {
	Sub       string
	Subscribe []string
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("*/transcript.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Dir(file), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script transcript
	if err := yaml.Unmarshal(text, &script); err != nil {
		t.Fatal(err)
	}
	r := newReplay(t, filepath.Join(filepath.Dir(file), script.Config), script.Services)
	for i, s := range script.Steps {
		if !t.Run("step", func(t *testing.T) { r.t = t; r.step(s) }) {
			t.Fatalf("step %d of %s: %+v", i+1, file, s)
		}
	}
}

// stage is a running weft with the clients of a transcript.
type stage struct {
	t       *testing.T
	server  *server.Server
	config  *config.Config
	clients map[string]*client
	watches map[string]admin.Subscription
}

type client struct {
	net.Conn
	in      *bufio.Reader
	format  *frame.Format
	pending []byte
}

// service answers what it is sent behind the prefix, and refuses what begins with refuse.
func service(t *testing.T, prefix string) config.UpstreamMember {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.HasPrefix(body, []byte("refuse")) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = w.Write(append([]byte(prefix), body...))
	}))
	t.Cleanup(s.Close)
	return config.UpstreamMember{Address: s.Listener.Addr().String(), Weight: 1}
}

func newReplay(t *testing.T, configFile string, services map[string]string) *stage {
	cfg, err := config.Load(config.Options{File: configFile, Presets: frame.Presets(), StdPlugins: std.Names()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range cfg.Listeners {
		cfg.Listeners[i].Address = "127.0.0.1:0"
	}
	cfg.API.Address = ""
	for name, prefix := range services {
		pool := cfg.Upstreams[name]
		for i := range pool.Members {
			pool.Members[i] = service(t, prefix)
		}
	}
	if cfg.Backbone.Data != "" {
		cfg.Backbone.Data = t.TempDir()
	}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if l := srv.Ledger(); l.InFlight() != 0 {
			t.Errorf("the ledger does not balance: %+v", l)
		}
	})
	for srv.State() != life.Running {
		select {
		case err := <-ended:
			ended <- err // the cleanup says it
			t.Fatal("it does not run")
		case <-time.After(time.Millisecond):
		}
	}
	return &stage{server: srv, config: cfg, clients: map[string]*client{}, watches: map[string]admin.Subscription{}}
}

func (r *stage) step(s step) {
	c := r.clients[s.Client]
	switch {
	case s.Connect != "":
		r.clients[s.Client] = r.connect(s.Connect)
	case s.Send != nil:
		m := r.message(s.Send)
		b, err := c.format.Append(nil, &m)
		if err == nil {
			_, err = c.Write(b)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	case s.Hear != nil:
		m, err := c.next()
		if err != nil {
			r.t.Fatalf("nothing came: %v", err)
		}
		r.compare(s.Hear, &m)
	case s.Closed:
		if m, err := c.next(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			r.t.Fatalf("the connection is open: %+v, %v", m, err)
		}
	case s.Watch != "":
		sub, err := r.server.Bus().Subscribe(r.t.Context(), []string{s.Watch}, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		r.watches[s.Watch] = sub
	case s.See != nil:
		ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
		defer cancel()
		d, err := r.watches[s.See.Pattern].Next(ctx)
		if err != nil {
			r.t.Fatalf("nothing came: %v", err)
		}
		r.compare(s.See, d.Message)
	case s.Publish != nil:
		var attrs abi.Attributes
		for name, value := range s.Publish.Attributes {
			attrs = attrs.AppendString(name, value)
		}
		receipt, err := r.server.Bus().Publish(r.t.Context(), &abi.Message{Topic: []byte(s.Publish.Topic), Payload: []byte(s.Publish.Payload), Attrs: attrs})
		if err != nil || !receipt.Logged && receipt.Delivered == 0 {
			r.t.Fatalf("%+v, %v", receipt, err)
		}
	default:
		r.t.Fatal("an empty step")
	}
}

// connect dials a listener and waits until the server has the connection and what the
// listener subscribes it to. What asks for an identity waits for the client's token.
// Of a queue there is one worker: it is counted once, however many it has.
func (r *stage) connect(listener string) *client {
	accepted := func() float64 { return r.server.MetricOf("weft_connections_accepted_total", listener) }
	subscriptions := func() float64 { return r.server.Metric("weft_subscriptions") + r.server.Metric("weft_queue_groups") }
	connections, subscribed := accepted()+1, subscriptions()
	for _, l := range r.config.Listeners {
		for _, pattern := range l.Subscribe {
			if l.Name == listener && !strings.Contains(pattern, "{identity}") {
				subscribed++
			}
		}
	}
	for _, a := range r.server.Addresses() {
		if a.Name == listener {
			conn, err := net.Dial("tcp", a.Addr.String())
			if err != nil {
				r.t.Fatal(err)
			}
			for deadline := time.Now().Add(time.Minute); accepted() != connections || subscriptions() != subscribed; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					r.t.Fatalf("%s: %v connections, not %v; %v subscriptions, not %v", listener, accepted(), connections, subscriptions(), subscribed)
				}
			}
			format, _ := frame.Preset(a.Protocol)
			return &client{Conn: conn, in: bufio.NewReader(conn), format: format.Peer()}
		}
	}
	r.t.Fatalf("no listener %s", listener)
	return nil
}

// message makes what a step sends.
func (r *stage) message(from *message) abi.Message {
	m := abi.Message{Seq: from.Seq, Payload: r.payload(from), Type: typeOf(from.Type)}
	for name, value := range from.Attributes {
		m.Attrs = m.Attrs.AppendString(name, value)
	}
	say, key := from.Token, demoKey
	if from.Forged != nil {
		say, key = from.Forged, "another key"
	}
	if say != nil {
		token, err := load.Token([]byte(key), load.Claims{Subject: say.Sub, Subscribe: say.Subscribe})
		if err != nil {
			r.t.Fatal(err)
		}
		m.Payload = []byte(token)
	}
	return m
}

// payload is what a step's message carries.
func (r *stage) payload(from *message) []byte {
	if from.Hex == "" {
		return []byte(from.Payload)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(from.Hex, " ", ""))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func typeOf(name string) abi.Type {
	for _, t := range []abi.Type{abi.TypeRequest, abi.TypeResponse, abi.TypeAck} {
		if t.String() == name {
			return t
		}
	}
	return abi.TypeEvent
}

func (r *stage) compare(want *message, got *abi.Message) {
	if payload := r.payload(want); len(payload) > 0 && !bytes.Equal(got.Payload, payload) {
		r.t.Errorf("payload %q, want %q", got.Payload, payload)
	}
	if want.Topic != "" && string(got.Topic) != want.Topic {
		r.t.Errorf("topic %q, want %q", got.Topic, want.Topic)
	}
	if want.Type != "" && got.Type != typeOf(want.Type) {
		r.t.Errorf("type %v, want %s", got.Type, want.Type)
	}
	if want.Seq != 0 && got.Seq != want.Seq {
		r.t.Errorf("seq %d, want %d", got.Seq, want.Seq)
	}
	for name, value := range want.Attributes {
		if v, _ := got.Attrs.Get(name); string(v) != value {
			r.t.Errorf("attribute %s is %q, want %q", name, v, value)
		}
	}
}

// next waits for the next frame.
func (c *client) next() (abi.Message, error) {
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return abi.Message{}, err
	}
	for {
		var m abi.Message
		n, _, err := c.format.Decode(c.pending, nil, &m)
		if err != nil {
			return m, err
		}
		if n > 0 {
			c.pending = append([]byte(nil), c.pending[n:]...)
			return m, nil
		}
		b, err := c.in.ReadByte()
		if err != nil {
			return m, err
		}
		c.pending = append(c.pending, b)
	}
}
