package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// released is where the conformance guests of every released version lie.
const released = "../../abi/vectors"

// fixedClock stands still.
type fixedClock struct{}

func (fixedClock) Wall() int64      { return 1_700_000_000_000_000_000 }
func (fixedClock) Monotonic() int64 { return 1_000_000_000 }

// TestGuestsAgree gives the same random batches to the conformance guest in every
// language: what comes out must be the same down to the byte.
func TestGuestsAgree(t *testing.T) {
	modules, err := filepath.Glob(filepath.Join(released, "v*", "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 2 {
		t.Skipf("%d guests in %s: nothing to compare", len(modules), released)
	}
	const seeds, batches = 30, 10
	var first []string
	for _, module := range modules {
		wasm, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		plugin := load(t, wasm, "{}", 64<<20)
		for seed := range uint64(seeds) {
			chain := newChain(t, plugin)
			r := rand.New(rand.NewPCG(seed, 1))
			for range batches {
				b := &plugins.Batch{Messages: randomBatch(r)}
				asked := describe(b)
				chain.Messages(b)
				got = append(got, asked+"\n-> "+describe(b))
			}
		}
		if first == nil {
			first = got
			continue
		}
		for i := range got {
			if got[i] != first[i] {
				a, b := firstDifference(first[i], got[i])
				t.Fatalf("batch %d: %s answered\n%s\n%s answered\n%s\n%s", i, modules[0], a, module, b, got[i])
			}
		}
	}
}

// load loads the module with every capability.
func load(t testing.TB, wasm []byte, config string, memory int64) *plugins.Plugin {
	t.Helper()
	env, err := plugins.NewEnv(plugins.EnvConfig{Clock: fixedClock{}, CallBudget: plugins.MaxCPU})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.Close(t.Context()) })
	p, err := env.Load(t.Context(), plugins.Spec{
		Name: "guest", Wasm: wasm, Config: json.RawMessage(config), Memory: memory, CPU: plugins.MaxCPU, StartCPU: plugins.MaxCPU,
		Grants: hostfuncs.Grants{
			Log: &hostfuncs.LogGrant{}, Metrics: &hostfuncs.MetricsGrant{}, Clock: &hostfuncs.ClockGrant{},
			Random: &hostfuncs.RandomGrant{}, KV: &hostfuncs.KVGrant{Namespace: "n"}, WASI: &hostfuncs.WASIGrant{},
			Publish: &hostfuncs.PublishGrant{Topics: []string{"#"}}, Subscribe: &hostfuncs.SubscribeGrant{Topics: []string{"#", "queue:#"}},
			HTTP: &hostfuncs.HTTPGrant{}, Filter: &hostfuncs.FilterGrant{},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newChain makes a chain of the plugin alone.
func newChain(t testing.TB, p *plugins.Plugin) *plugins.Chain {
	t.Helper()
	chain, err := plugins.NewChain(t.Context(), []string{"trucks", "lines"}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close(t.Context()) })
	return chain
}

// describe writes down everything of a batch.
func describe(b *plugins.Batch) string {
	var s strings.Builder
	for i := range b.Messages {
		m := &b.Messages[i]
		fmt.Fprintf(&s, "\n  session %d seq %d type %v priority %d qos %d flags %d topic %q payload %q\n    attributes %q context %q",
			m.Session, m.Seq, m.Type, m.Priority, m.QoS, m.Flags, m.Topic, m.Payload, []byte(m.Attrs), []byte(m.Context))
		if i < len(b.Outcomes) {
			o := b.Outcomes[i]
			fmt.Fprintf(&s, "\n    %v %b %q origin %d plugin %d cause %v emitted %t", o.Verdict, o.Changes, o.Out, o.Origin, o.Plugin, o.Cause, o.Emitted)
		}
	}
	for _, sub := range b.Subscriptions {
		fmt.Fprintf(&s, "\n  subscription %+v", sub)
	}
	for _, c := range b.Contexts {
		fmt.Fprintf(&s, "\n  context of %d: %q", c.Session, []byte(c.Context))
	}
	return s.String()
}

// firstDifference is the first line in which two texts differ.
func firstDifference(a, b string) (string, string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i], y[i]
		}
	}
	return "more lines", "fewer lines, or the other way round"
}

func randomBatch(r *rand.Rand) []abi.Message {
	messages := make([]abi.Message, 1+r.IntN(12))
	for i := range messages {
		m := &messages[i]
		m.Session, m.Seq = uint64(r.IntN(3)), r.Uint64()
		m.Type, m.Priority, m.QoS = abi.Type(r.IntN(4)), uint8(r.IntN(8)), uint8(r.IntN(3))
		m.Flags = abi.Flags(r.IntN(8)) &^ abi.FlagPayloadPrefix
		m.Listener = uint32(r.IntN(2))
		m.Topic = []byte(pick(r, "a", "truck/7/telemetry", "grüße/aus/köln"))
		for range r.IntN(4) {
			m.Attrs = m.Attrs.AppendString(randomName(r), randomText(r))
		}
		for range r.IntN(3) {
			m.Context = m.Context.AppendString(randomName(r), randomText(r))
		}
		var commands []string
		for range r.IntN(6) {
			commands = append(commands, randomCommand(r))
		}
		m.Payload = []byte(strings.Join(commands, "\n"))
	}
	return messages
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func randomName(r *rand.Rand) string { return pick(r, "a", "b", "identity", "größe", "temperature") }

func randomText(r *rand.Rand) string {
	return pick(r, "", "1", "truck-7", "ein längerer Wert", "-", "0x")
}

// randomCommand is one of abi/vectors/README.md with arguments that are legal.
func randomCommand(r *rand.Rand) string {
	value := func() string {
		return pick(r, "-", "plain", "0x00ff", "0xc3a4", "*5", "*30", "*70", "*2000", "größe", "!x")
	}
	topic := func() string { return pick(r, "out", "alarm/7", "*100", "größe/1") }
	number := func(n int) string { return fmt.Sprint(r.IntN(n)) }
	switch r.IntN(34) {
	case 0, 1:
		return "echo"
	case 2:
		return "attribute " + randomName(r)
	case 3:
		return "context " + randomName(r)
	case 4:
		return "digest " + pick(r, "topic", "payload", "attributes")
	case 5:
		return "count"
	case 6:
		return "topic " + topic()
	case 7:
		return "payload " + value()
	case 8, 9:
		return "set " + randomName(r) + " " + value()
	case 10:
		return "unset " + randomName(r)
	case 11:
		return "clear"
	case 12, 13:
		return "remember " + randomName(r) + " " + pick(r, "x", "truck-8", "*100", "-")
	case 14:
		return "forget " + randomName(r)
	case 15:
		return "seq " + fmt.Sprint(r.Uint64())
	case 16:
		return pick(r, "type ", "priority ") + number(4)
	case 17:
		return "qos " + number(3)
	case 18:
		return pick(r, "drop ", "close ") + pick(r, "reason", "*256", "-")
	case 19:
		return "reply " + value()
	case 20:
		return "route " + pick(r, "subscribers", "queue:work node:7", "topic:a/b reply dead-letter")
	case 21:
		return "continue"
	case 22:
		return "emit " + topic() + " " + value() + pick(r, "", " retain", " type=1 priority=7 qos=2 seq=18446744073709551615", " @a=1 @größe=*40 retain")
	case 23:
		return "emits " + number(20) + " " + topic()
	case 24:
		return pick(r, "subscribe in/# 1", "unsubscribe in/+")
	case 25:
		return "log info " + value() + "\ncounter seen_total 2\ngauge level -2.5\ncounter Bad 1"
	case 26:
		return pick(r, "wall", "monotonic", "random 16")
	case 27:
		return "kv-set " + pick(r, "k", "*30") + " " + value() + " 0"
	case 28:
		return pick(r, "kv-get ", "kv-digest ", "kv-delete ", "kv-revision ") + pick(r, "k", "*30", "missing")
	case 29:
		return "kv-cas k " + number(4) + " " + value() + " 0"
	case 30:
		return "kv-add " + pick(r, "sum", "k") + " " + fmt.Sprint(r.Int64N(9)-4) + " 0"
	case 31:
		return pick(r, "nonsense", "kv-nonsense k", "größe")
	case 32:
		return ""
	}
	return pick(r, "trap", "pause 9", "topic a/#", "priority 9", "emits 65 out", "count", "echo", "count", "echo")
}

// TestMemoryStays runs 200,000 messages through each conformance guest.
func TestMemoryStays(t *testing.T) {
	modules, _ := filepath.Glob(filepath.Join(released, "v*", "*.wasm"))
	for _, module := range modules {
		t.Run(filepath.Base(module), func(t *testing.T) {
			wasm, err := os.ReadFile(module)
			if err != nil {
				t.Fatal(err)
			}
			// A reply alone is 500 bytes: what is not freed soon fills 16 MiB.
			payload := make([]byte, 64)
			chain := newChain(t, load(t, wasm, `{"messages": "topic *40\nset a *200\nremember b *100\nemit out *100 @x=1\necho"}`, 16<<20))
			b := &plugins.Batch{}
			const rounds, batch = 1000, 200
			for range rounds {
				b.Reset()
				for i := range batch {
					b.Messages = append(b.Messages, abi.Message{Session: uint64(i % 7), Topic: []byte("t"), Payload: payload})
				}
				chain.Messages(b)
			}
			if s := chain.Plugin(0).Stats(); s.Traps+s.Faults+s.Policy > 0 || s.Replies != rounds*batch {
				t.Fatalf("%+v", s)
			}
		})
	}
}
