package plugins_test

import (
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// notes writes down what a tap sees.
type notes struct{ strings.Builder }

func (n *notes) Saw(hook abi.Hook, seen []plugins.Seen, _ plugins.Cost) {
	for i := range seen {
		s := &seen[i]
		fmt.Fprintf(n, "%s %s>%s %s changes=%d out=%s plugin=%d cause=%s emitted=%d\n", hook, s.Before.Topic, s.After.Topic,
			s.Outcome.Verdict, s.Outcome.Changes, s.Outcome.Out, s.Outcome.Plugin, s.Outcome.Cause, len(s.Emitted))
	}
}

// renames changes the topic, and drops what begins with d; rests traps on t.
func renames(topicAt int32) *wasmtest.Module {
	return wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.Put32(abi.RecordChanges, int32(abi.ChangedTopic)), wasmtest.PutSpan(abi.RecordTopic, topicAt, 3),
		wasmtest.WhenFirstByte('d', wasmtest.Put32(abi.RecordVerdict, 1)),
		wasmtest.WhenFirstByte('t', wasmtest.Unreachable),
	)).Data(topicAt, []byte("new"))
}

func TestTapsSeeTheirPlaceAlone(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	p := load(t, env, renames(textAt), plugins.Spec{Name: "p", OnFailure: plugins.FailQuarantine, Generation: 3})
	chain := newChain(t, p, p)
	var whole, first, second notes
	chain.Tap(plugins.Whole, &whole)
	chain.Tap(0, &first)
	chain.Tap(1, &second)
	b := messages("keep", "drop", "trap")
	chain.Messages(b)
	kept := "messages raw/trucks>new continue changes=1 out= plugin=-1 cause=none emitted=0\n"
	dropped := "messages raw/trucks>new drop changes=1 out= plugin=0 cause=plugin emitted=0\n"
	trapped := "messages raw/trucks>raw/trucks route changes=0 out=dead-letter plugin=0 cause=trap emitted=0\n"
	for name, c := range map[string]struct {
		got  *notes
		want string
	}{
		"whole":  {&whole, kept + dropped + trapped},
		"first":  {&first, kept + dropped + trapped},
		"second": {&second, "messages new>new continue changes=1 out= plugin=-1 cause=none emitted=0\n"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%s:\n%swant\n%s", name, got, c.want)
		}
	}
	if o := b.Outcomes[2]; !strings.Contains(o.Failure(), "unreachable") || o.Generation != 3 {
		t.Errorf("the failure is %q of generation %d", o.Failure(), o.Generation)
	}
	if o := b.Outcomes[0]; o.Changes != abi.ChangedTopic || o.Failure() != "" {
		t.Errorf("a tap has left changes %d, failure %q", o.Changes, o.Failure())
	}
	whole.Reset()
	chain.Tap(plugins.Whole, nil)
	b.Reset()
	b.Messages = append(b.Messages, messages("keep").Messages...)
	chain.Messages(b)
	if whole.Len() > 0 {
		t.Errorf("a tap that was taken away saw %s", whole.String())
	}
}

// TestTapsSeeWhatBecomesOfAPause: a place sees the pause, and the message again as it is
// resumed; the whole chain sees that.
func TestTapsSeeWhatBecomesOfAPause(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "topic late\ndrop enough\nemit side x"}`)
	var whole, place notes
	w.chain.Tap(plugins.Whole, &whole)
	w.chain.Tap(0, &place)
	w.send("1 topic early; "+ask("/a"), "1 topic behind")
	if got, want := place.String(), "messages t>early pause changes=1 out= plugin=0 cause=plugin emitted=0\n"; !strings.HasPrefix(got, want) || whole.Len() > 0 {
		t.Errorf("the place saw\n%swant\n%s, and the chain\n%s", got, want, whole.String())
	}
	place.Reset()
	left := w.open(0, "/a")
	resumed := "resume early>late drop changes=1 out=enough plugin=0 cause=plugin emitted=1\n"
	if got := place.String(); got != resumed {
		t.Errorf("the place saw\n%swant\n%s", got, resumed)
	}
	if got := whole.String(); !strings.Contains(got, "resume early>late drop changes=1 out=enough plugin=0 cause=plugin emitted=1\n") || strings.Count(got, "\n") != 2 {
		t.Errorf("the chain saw\n%s", got)
	}
	for _, o := range left.Outcomes {
		if o.Verdict == abi.VerdictDrop && o.Changes != abi.ChangedTopic {
			t.Errorf("a tap has left changes %d", o.Changes)
		}
	}
}

// What a plugin emits, and for whom it subscribes, is with the message that it is
// because of.
func TestTapsSeeEffects(t *testing.T) {
	effects := append(effect(abi.EffectEmit, textAt, textAt, 3, 3), effect(abi.EffectSubscribe, textAt, textAt, 3, 0)...)
	guest := wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(
		wasmtest.WhenFirstByte('e', wasmtest.PutSpan(abi.RecordEffects, textAt+64, 2)),
	)).Data(textAt, []byte("new")).Data(textAt+64, effects)
	env := newEnv(t, plugins.EnvConfig{})
	chain := newChain(t, load(t, env, guest, plugins.Spec{Name: "p", Grants: effectGrants("#")}))
	var sums [2][]string
	for i, place := range []int{plugins.Whole, 0} {
		chain.Tap(place, tapFunc(func(_ abi.Hook, seen []plugins.Seen) {
			for _, s := range seen {
				line := fmt.Sprintf("%s: %d", s.Before.Payload, len(s.Subscriptions))
				for _, e := range s.Emitted {
					line += " " + string(e.Topic)
				}
				sums[i] = append(sums[i], line)
			}
		}))
	}
	b := messages("a", "e", "b", "e")
	for i := range b.Messages {
		b.Messages[i].Session = uint64(i + 1)
	}
	chain.Messages(b)
	want := "a: 0|e: 1 new|b: 0|e: 1 new"
	for i, got := range sums {
		if strings.Join(got, "|") != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
}

type tapFunc func(abi.Hook, []plugins.Seen)

func (f tapFunc) Saw(hook abi.Hook, seen []plugins.Seen, _ plugins.Cost) { f(hook, seen) }

// A tap costs memory of its own once, and nothing where there is none.
func TestTapsDoNotAllocate(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	chain := newChain(t, load(t, env, renames(textAt), plugins.Spec{Name: "p"}))
	b := &plugins.Batch{}
	some := messages("keep", "drop", "keep").Messages
	run := func() {
		b.Reset()
		b.Messages = append(b.Messages, some...)
		chain.Messages(b)
	}
	seen := 0
	count := tapFunc(func(_ abi.Hook, list []plugins.Seen) { seen += len(list) })
	for _, taps := range []plugins.Tap{nil, count} {
		chain.Tap(plugins.Whole, taps)
		chain.Tap(0, taps)
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%v allocations a run with tap %v", n, taps != nil)
		}
	}
	if seen == 0 {
		t.Error("the taps saw nothing")
	}
}

// TestTapOfManySubscriptions: what is shown costs in proportion to what there is.
func TestTapOfManySubscriptions(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	p := load(t, env, effectGuest(abi.ExportOnMessages, abi.EffectSubscribe, "pattern"), plugins.Spec{Grants: effectGrants("#")})
	c := newChain(t, p)
	seen := 0
	c.Tap(plugins.Whole, tapFunc(func(_ abi.Hook, list []plugins.Seen) {
		for _, s := range list {
			if len(s.Subscriptions) == 2 && s.Subscriptions[1].Session == s.Before.Session {
				seen++
			}
		}
	}))
	// least is what two messages of each of so many sessions take at least.
	least := func(sessions uint64) time.Duration {
		t.Helper()
		shortest := time.Duration(math.MaxInt64)
		for range 3 {
			b := &plugins.Batch{}
			for i := range 2 * sessions {
				b.Messages = append(b.Messages, abi.Message{Session: 1 + i%sessions, Topic: []byte("t"), Payload: []byte("x")})
			}
			seen = 0
			began := worked(t)
			c.Messages(b)
			shortest = min(shortest, worked(t)-began)
			if seen != int(sessions) {
				t.Fatalf("%d of %d sessions were shown with their subscriptions", seen, sessions)
			}
		}
		return shortest
	}
	// In proportion, ten times as many take ten times as long; each with each, a hundred times.
	if few, many := least(2000), least(20000); many > 40*few {
		t.Errorf("2,000 sessions take %v, 20,000 take %v", few, many)
	}
}

// worked is what this process has taken of the processors: other than the time of day
// it does not pass while somebody else has them.
func worked(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
