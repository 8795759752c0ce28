package plugins_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/vectors"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// TestConformance runs every vector with every conformance guest that was ever
// released, metered as always, and bare: metering changes nothing that they do. abi/vectors/README.md says how a guest comes to be among them.
func TestConformance(t *testing.T) {
	all, err := vectors.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	guests, err := vectors.Guests()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 || len(guests) == 0 {
		t.Fatalf("%d vectors, %d guests", len(all), len(guests))
	}
	for _, language := range []string{"rust", "go", "assemblyscript"} {
		for _, version := range []string{"v1.0", "v" + abi.Current.String()} {
			if !slices.ContainsFunc(guests, func(g vectors.Guest) bool { return g.Version == version && g.Language == language }) {
				t.Errorf("%s: there is no guest in %s: go run ./tools/guests", version, language)
			}
		}
	}
	cache := t.TempDir()
	for _, g := range guests {
		t.Run(g.Version+"/"+g.Language, func(t *testing.T) {
			for _, v := range all {
				if !g.Passes(&v) {
					continue
				}
				t.Run(v.Name, func(t *testing.T) { conform(t, plugins.EnvConfig{CacheDir: cache}, g, v) })
			}
		})
		if g.Language == "go" {
			continue // compiling it again takes longer than all the rest
		}
		t.Run(g.Version+"/"+g.Language+"/unmetered", func(t *testing.T) {
			for _, v := range all {
				if !g.Passes(&v) {
					continue
				}
				t.Run(v.Name, func(t *testing.T) { conform(t, plugins.EnvConfig{CacheDir: cache, Unmetered: true}, g, v) })
			}
		})
	}
}

// conformance is one vector being carried out.
type conformance struct {
	*testing.T
	clock   *conformanceClock
	log     *conformanceLog
	metrics *conformanceMetrics
	kv      *hostfuncs.Namespace
	chain   *plugins.Chain
	web     *conformanceWeb
	rules   *conformanceRules
}

const conformanceTick = time.Millisecond

var conformanceListeners = []string{"trucks", "lines"}

func conform(t *testing.T, cfg plugins.EnvConfig, g vectors.Guest, v vectors.Vector) {
	c := conformance{T: t, clock: &conformanceClock{}, log: &conformanceLog{}, metrics: &conformanceMetrics{}, web: newConformanceWeb(), rules: &conformanceRules{}}
	cfg.Logger, cfg.Metrics, cfg.Clock, cfg.HTTP = slog.New(c.log), c.metrics, c.clock, c.web
	cfg.Filter = hostfuncs.NewFilter(c.clock, c.rules)
	env := newEnv(t, cfg)
	scopes := map[string]map[string]any{"log": nil, "metrics": nil, "clock": nil, "random": nil, "wasi": nil, "kv": {"namespace": "vectors"},
		"publish": {"topics": []string{"#"}}, "subscribe": {"topics": []string{"#", "queue:#"}},
		"http": {"hosts": []any{"api.example.org"}, "deadline": "10s"}}
	if g.Version != "v1.0" {
		scopes["filter"] = nil
	}
	maps.Copy(scopes, v.Grants)
	grants, err := hostfuncs.ParseGrants(scopes)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := plugins.ParsePolicy(v.OnFailure)
	if err != nil {
		t.Fatal(err)
	}
	p, err := env.Load(t.Context(), plugins.Spec{
		Name: "guest", Wasm: g.Wasm, Config: padded(v), Grants: grants, OnFailure: policy,
		Memory: 256 << 20, Tick: conformanceTick, CPU: time.Second, StartCPU: time.Second,
	})
	if len(v.LoadError) > 0 {
		if err == nil || !strings.Contains(err.Error(), string(v.LoadError)) {
			t.Errorf("loading: got %v, expected %q in it", err, v.LoadError)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.kv, err = env.KV().Namespace(grants.KV.Namespace, grants.KV.Size); err != nil {
		t.Fatal(err)
	}
	if c.chain, err = plugins.NewChain(t.Context(), conformanceListeners, p); err != nil {
		t.Fatal(err)
	}
	defer c.chain.Close(t.Context())
	c.chain.OnWake(c.web.wake)
	c.chain.OnSource(conformanceSource)
	c.log.lines = nil
	var batch plugins.Batch
	c.chain.Tick(&batch, time.Unix(0, c.clock.Wall()).Add(-conformanceTick), 0) // the first interval begins
	for i, s := range v.Steps {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			c := c
			c.T = t
			batch.Reset()
			c.step(&batch, s)
		})
	}
}

// padded is the vector's configuration.
func padded(v vectors.Vector) json.RawMessage {
	if v.Pad == 0 {
		return v.Config
	}
	return fmt.Appendf(bytes.TrimSuffix(v.Config, []byte("}")), `,"pad":%q}`, vectors.Pattern(v.Pad))
}

func (c *conformance) step(b *plugins.Batch, s vectors.Step) {
	c.clock.advance += s.Advance * int64(time.Millisecond)
	c.log.lines, c.metrics.list, c.rules.list = nil, nil, nil
	for range s.Times {
		for _, m := range s.Messages {
			b.Messages = append(b.Messages, conformanceMessage(m))
		}
	}
	before := slices.Clone(b.Messages)
	switch abi.Hook(s.Hook) {
	case abi.HookMessages:
		c.chain.Messages(b)
	case abi.HookOpen:
		c.chain.Open(b)
	case abi.HookClose:
		c.chain.CloseSessions(b)
	case abi.HookTick:
		c.chain.Tick(b, time.Unix(0, c.clock.Wall()), 0)
	case abi.HookResume:
		c.web.answer(c.T, s.Answers)
		c.resume(b)
	default:
		c.Fatalf("hook %d cannot be called", s.Hook)
	}
	if b.Held != s.Held {
		c.Errorf("%d messages were held, expected %d", b.Held, s.Held)
	}
	c.web.compareRequests(c.T, s.Requests)
	compareBatch(c.T, before, b, s)
	c.compareHost(s)
}

// resume waits until messages come back.
func (c *conformance) resume(b *plugins.Batch) {
	c.Helper()
	late := time.After(20 * time.Second)
	for b.Reset(); len(b.Messages) == 0; {
		select {
		case <-c.web.woken:
			c.chain.Resume(b)
		case <-late:
			c.Fatal("nothing was resumed")
		}
	}
}

// conformanceMessage is a message as the host has it.
func conformanceMessage(m vectors.Message) abi.Message {
	listener := slices.Index(conformanceListeners, m.Listener)
	if listener < 0 {
		listener = len(conformanceListeners)
	}
	return abi.Message{
		Session: m.Session, Seq: m.Seq, Time: m.Time, Listener: uint32(listener), Flags: abi.Flags(m.Flags), Type: abi.Type(m.Type),
		Priority: m.Priority, QoS: m.QoS, Topic: m.Topic, Attrs: m.Attributes.Encode(), Context: m.Context.Encode(), Payload: m.Payload,
	}
}

// compareHost compares what the guest left behind with host functions.
func (c *conformance) compareHost(s vectors.Step) {
	trapped := slices.ContainsFunc(s.Outcomes, func(o vectors.Outcome) bool { return o.Cause == "trap" })
	// A run-time may write a line about the trap.
	if same := slices.EqualFunc(c.log.lines, s.Logs, func(a, b vectors.Log) bool { return a.Level == b.Level && bytes.Equal(a.Text, b.Text) }); !same && !trapped {
		c.Errorf("log: got %s, expected %s", short(c.log.lines), short(s.Logs))
	}
	if !slices.Equal(c.metrics.list, s.Metrics) {
		c.Errorf("metrics: got %s, expected %s", short(c.metrics.list), short(s.Metrics))
	}
	if !slices.Equal(c.rules.list, s.Rules) {
		c.Errorf("rules: got %s, expected %s", short(c.rules.list), short(s.Rules))
	}
	for key, want := range s.KV {
		value := make([]byte, abi.MaxKVValue)
		n, status := c.kv.Get([]byte(key), value)
		switch {
		case want == nil && status != abi.StatusNotFound:
			c.Errorf("key %s: status %d, %d bytes, expected none", key, status, n)
		case want != nil && (status != abi.StatusOK || !bytes.Equal(value[:n], *want)):
			c.Errorf("key %s: status %d, %s, expected %s", key, status, short(vectors.Bytes(value[:n])), short(*want))
		}
	}
}

// conformanceClock stands still unless it is told to go on.
type conformanceClock struct{ advance int64 }

func (c *conformanceClock) Wall() int64      { return vectors.Wall + c.advance }
func (c *conformanceClock) Monotonic() int64 { return vectors.Monotonic + c.advance }

// conformanceLog keeps the lines that plugins wrote. Their logger carries the
// plugin's name; lines of the host about plugins do not come by it.
type conformanceLog struct {
	lines []vectors.Log
}

func (l *conformanceLog) Enabled(context.Context, slog.Level) bool  { return true }
func (l *conformanceLog) Handle(context.Context, slog.Record) error { return nil }
func (l *conformanceLog) WithGroup(string) slog.Handler             { return l }
func (l *conformanceLog) WithAttrs([]slog.Attr) slog.Handler        { return pluginLog{l} }

type pluginLog struct{ *conformanceLog }

func (l pluginLog) Handle(_ context.Context, r slog.Record) error {
	l.lines = append(l.lines, vectors.Log{Level: strings.ToLower(r.Level.String()), Text: vectors.Bytes(r.Message)})
	return nil
}

// conformanceRules keeps what plugins said of sources.
type conformanceRules struct{ list []vectors.Rule }

func (r *conformanceRules) Change(c hostfuncs.FilterChange) bool {
	r.list = append(r.list, vectors.Rule{Do: c.Verb.String(), Source: c.Source.String(), TTL: c.TTL.Milliseconds()})
	return true
}

func (r *conformanceRules) Revoke(string) {}

// conformanceSource is where a session comes from.
func conformanceSource(session uint64) (netip.Addr, bool) {
	switch {
	case session == 0:
		return netip.Addr{}, false
	case session < 256:
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(session)}), true
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", session)), true
}

// conformanceMetrics keeps what plugins measured.
type conformanceMetrics struct{ list []vectors.Metric }

func (m *conformanceMetrics) Metric(_, name string, kind abi.MetricKind) (hostfuncs.Metric, error) {
	kinds := []string{"counter", "gauge", "histogram"}
	return conformanceMetric{m, kinds[kind], name}, nil
}

type conformanceMetric struct {
	sink       *conformanceMetrics
	kind, name string
}

func (m conformanceMetric) note(value float64) {
	m.sink.list = append(m.sink.list, vectors.Metric{Kind: m.kind, Name: m.name, Value: value})
}

func (m conformanceMetric) Add(delta int64)       { m.note(float64(delta)) }
func (m conformanceMetric) Set(value float64)     { m.note(value) }
func (m conformanceMetric) Observe(value float64) { m.note(value) }

// whole writes a value as JSON.
func whole(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// cut shortens a text to what a terminal bears.
func cut(text string) string {
	if len(text) > 2000 {
		return fmt.Sprintf("%s... (%d bytes)", text[:2000], len(text))
	}
	return text
}

func short(v any) string { return cut(whole(v)) }
