package delivery_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

func TestReasons(t *testing.T) {
	label := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{}
	for r := range delivery.Reasons() {
		if name := r.String(); !label.MatchString(name) || seen[name] || name == "unknown" {
			t.Errorf("reason %d is called %q", r, name)
		}
		seen[r.String()] = true
	}
	if len(seen) != delivery.NumReasons || delivery.Reason(delivery.NumReasons).String() != "unknown" {
		t.Errorf("%d reasons", len(seen))
	}
}

func TestLedgerBalances(t *testing.T) {
	var l delivery.Ledger
	l.In, l.Emitted, l.Delivered, l.Replied, l.Dead, l.Copies = 100, 10, 60, 5, 7, 300
	l.Logged, l.Recalled, l.Delivered = 20, 20, l.Delivered+20 // what a log took came out of it again
	l.In += 20
	l.Drop(delivery.PluginDrop)
	l.Drop(delivery.PluginClose)
	l.Drop(delivery.NoSubscriber)
	l.DropCopy(delivery.OutboxFull)
	if l.Filtered() != 2 || l.Lost() != 1 || l.Ended() != 115 || l.InFlight() != 35 {
		t.Errorf("filtered %d, lost %d, ended %d, in flight %d", l.Filtered(), l.Lost(), l.Ended(), l.InFlight())
	}
	var p delivery.Published
	l.Publish(&p)
	if got := p.Snapshot(); got != l {
		t.Errorf("published %+v, read %+v", l, got)
	}
	sum := l
	sum.Add(p.Snapshot())
	if sum.InFlight() != 70 || sum.Copies != 600 || sum.CopiesDropped[delivery.OutboxFull] != 2 {
		t.Errorf("%+v", sum)
	}
}

// TestLedgerIsWhole: Publish, Snapshot and Add forget no field, those that are
// added later included.
func TestLedgerIsWhole(t *testing.T) {
	var l delivery.Ledger
	v := reflect.ValueOf(&l).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Array {
			for j := range f.Len() {
				f.Index(j).SetUint(uint64(1000*i + j))
			}
		} else {
			f.SetUint(uint64(i + 1))
		}
	}
	var p delivery.Published
	l.Publish(&p)
	var sum delivery.Ledger
	sum.Add(p.Snapshot())
	if sum != l {
		t.Errorf("%+v became %+v", l, sum)
	}
	if n := testing.AllocsPerRun(10, func() { l.In++; l.Publish(&p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPublishedIsReadMeanwhile(t *testing.T) {
	var p delivery.Published
	var reader sync.WaitGroup
	stop := make(chan struct{})
	reader.Go(func() {
		for last := uint64(0); ; {
			select {
			case <-stop:
				return
			default:
			}
			s := p.Snapshot()
			if s.In < last {
				t.Errorf("%d after %d", s.In, last)
				return
			}
			last = s.In
		}
	})
	var l delivery.Ledger
	for range 1000 {
		l.In++
		l.Drop(delivery.NoRoute)
		l.Publish(&p)
	}
	close(stop)
	reader.Wait()
}

func TestDeadLetter(t *testing.T) {
	dead, err := delivery.NewDeadLetters("weft/dead-letter")
	if err != nil {
		t.Fatal(err)
	}
	original := abi.Message{
		Session: 17, Seq: 5, Time: 99, Listener: 2, Type: abi.TypeRequest, Priority: 6, QoS: 1, Flags: abi.FlagRetain | abi.FlagRedelivered,
		Topic: []byte("truck/7"), Attrs: abi.Attributes(nil).AppendString("level", "high").AppendString("dead.reason", "forged"),
		Payload: []byte("payload"), Frame: []byte("frame"),
	}
	m := original
	grown, ok := dead.Build([]byte("before"), delivery.Letter{Reason: "plugin_trap", Plugin: "auth", Listener: "trucks"}, &m)
	if !ok || !strings.HasPrefix(string(grown), "before") || string(grown[6:]) != string(m.Attrs) {
		t.Fatalf("%t, %q", ok, grown)
	}
	for name, want := range map[string]string{
		delivery.AttrReason: "plugin_trap", delivery.AttrPlugin: "auth", delivery.AttrListener: "trucks",
		delivery.AttrTopic: "truck/7", delivery.AttrSession: "17", "level": "high",
	} {
		if v, _ := m.Attrs.Get(name); string(v) != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
	if string(m.Topic) != "weft/dead-letter" || m.Type != abi.TypeEvent || m.Seq != 0 || m.Frame != nil || string(m.Payload) != "payload" {
		t.Errorf("got %+v", m)
	}
	if m.Flags != abi.FlagEmitted|abi.FlagRedelivered || m.Session != 17 || m.Priority != 6 || m.QoS != 1 || m.Time != 99 {
		t.Errorf("got %+v", m)
	}
	again := m
	if _, ok := dead.Build(nil, delivery.Letter{Reason: "no_subscriber"}, &again); ok || !reflect.DeepEqual(again, m) {
		t.Error("a dead letter has a dead letter")
	}
	if _, err := delivery.NewDeadLetters("a/#"); !errors.Is(err, router.ErrTopic) || !strings.Contains(err.Error(), "dead_letter.topic") {
		t.Errorf("got %v", err)
	}
	scratch := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		m := original
		dead.Build(scratch, delivery.Letter{Reason: "plugin_trap", Listener: "trucks"}, &m)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDeadLetterOfTheLargest: the block stays within its limit.
func TestDeadLetterOfTheLargest(t *testing.T) {
	dead, err := delivery.NewDeadLetters("dead")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1000, abi.MaxAttrs - 8, abi.MaxAttrs - 8 - 60} {
		for _, topic := range []int{1, 1000, abi.MaxTopic} {
			m := abi.Message{Topic: []byte(strings.Repeat("t", topic)), Session: 1 << 63}
			if size > 0 {
				m.Attrs = abi.Attributes(nil).AppendString("a", strings.Repeat("x", min(size, abi.MaxAttribute-8)))
			}
			dead.Build(nil, delivery.Letter{Reason: strings.Repeat("r", 5000)}, &m)
			if err := m.Attrs.Validate(abi.MaxAttrs); err != nil {
				t.Errorf("%d bytes of attributes, topic of %d: %v", size, topic, err)
			}
			if _, ok := m.Attrs.Get(delivery.AttrReason); !ok {
				t.Errorf("%d bytes of attributes, topic of %d: the reason is gone", size, topic)
			}
		}
	}
}
