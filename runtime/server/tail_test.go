package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const tailed = recorded + `
routes:
  - {name: hot, when: {topic: "second"}, to: [subscribers, "queue:nobody"], chain: [{plugin: guest, config: {messages: "set routed yes"}}]}
`

func (f *fixture) tail(o admin.TailOptions) admin.Tailing {
	f.t.Helper()
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Cut == 0 {
		o.Cut = 256
	}
	tail, err := f.Recorder().Tail(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(tail.Close)
	return tail
}

// nextTailed waits for the next message of a tail.
func nextTailed(t *testing.T, tail admin.Tailing) *weftv1.TailMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		m, err := tail.Next(ctx, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m != nil {
			return m
		}
	}
}

// way is a message's way as one line.
func way(m *weftv1.TailMessage) string {
	var steps, places []string
	for _, s := range m.GetSteps() {
		text := s.GetPlugin() + "=" + s.GetVerdict()
		if s.GetCause() != "" {
			text += "(" + s.GetCause() + ")"
		}
		for _, c := range s.GetChanges() {
			text += fmt.Sprintf(" %s:%s>%s", c.GetWhat(), c.GetBefore(), c.GetAfter())
		}
		steps = append(steps, text)
	}
	for _, p := range m.GetPlaces() {
		places = append(places, fmt.Sprintf("%s:%d", p.GetTo(), p.GetCopies()))
	}
	return strings.Join([]string{m.GetTopic() + ">" + m.GetTopicAfter(), strings.Join(steps, ", "), m.GetRoute(), strings.Join(places, " "), m.GetResult(), m.GetReason()}, " | ")
}

// A tail shows a message's whole way: what each plugin of the listener and of the route
// did, which route it took, who got it, and how it ended.
func TestATailShowsTheWay(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, tailed)
		all, troubled := f.tail(admin.TailOptions{}), f.tail(admin.TailOptions{Troubled: true, Topics: []string{"+"}, Listener: "in"})
		sub, err := f.Bus().Subscribe(t.Context(), []string{"second"}, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		in := f.dial("in")
		for n, command := range []string{"continue", "drop too-cold", "trap", "payload changed\nset more 1"} {
			in.say(abi.Message{Type: abi.TypeRequest, Seq: uint64(n + 1), Priority: 2, Payload: []byte(command)})
			f.await("weft_messages_in_total", float64(n+1)) // each is a batch of its own
			const first = "raw>second | first=continue topic:raw>second attribute seen:>1, "
			want := []string{
				first + "guest=continue, guest=continue attribute routed:>yes | hot | subscribers:1 queue:nobody:0 | delivered | ",
				"raw>second | first=continue topic:raw>second attribute seen:>1, guest=drop(plugin) |  |  | dropped | plugin_drop",
				first + "guest=route(trap) |  | dead-letter:1 | dead | ",
				first + "guest=continue attribute more:>1 payload:payload changed\nset more 1>changed, guest=continue attribute routed:>yes | hot | subscribers:1 queue:nobody:0 | delivered | ",
			}[n]
			m := nextTailed(t, all)
			if got := way(m); got != want {
				t.Errorf("%q:\n got %s\nwant %s", command, got, want)
			}
			if m.GetListener() != "in" || m.GetRemote() != in.LocalAddr().String() || m.GetConnection() == "" || string(m.GetPayload()) != command || m.GetBatchSize() != 1 {
				t.Errorf("%q: %v", command, m)
			}
			if s := m.GetSteps()[0]; s.GetFuel() == 0 || s.GetTook().AsDuration() <= 0 || s.GetTook().AsDuration() > m.GetTook().AsDuration() || s.GetCallMessages() != 1 {
				t.Errorf("%q: what it has cost: %v of %v", command, s, m.GetTook())
			}
			if n == 1 || n == 2 {
				if got := nextTailed(t, troubled); got.GetResult() != m.GetResult() {
					t.Errorf("those in trouble: %v", got)
				}
			}
		}
		if passed, looked, missed := all.Counts(); passed < 4 || looked < 4 || missed != 0 {
			t.Errorf("%d passed, %d were looked at, %d missed", passed, looked, missed)
		}
	})
}

// A tail shows no more than it may, counts the rest, and leaves nothing behind when it
// ends.
func TestTailsAreBounded(t *testing.T) {
	f := start(t, "auto", `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, acknowledge: "", topic: t}]
api: {address: ""}
`)
	tail := f.tail(admin.TailOptions{Rate: 5, Cut: 4})
	in := f.dial("lines")
	for range 3000 {
		in.say(text("0123456789"))
	}
	f.await("weft_messages_in_total", 3000)
	m := nextTailed(t, tail)
	if string(m.GetPayload()) != "0123" || m.GetSize() != 10 || m.GetResult() != "dropped" || m.GetReason() != "no_subscriber" {
		t.Errorf("a message: %v", m)
	}
	shown := 1
	for {
		m, err := tail.Next(t.Context(), 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			break
		}
		shown++
	}
	if passed, looked, _ := tail.Counts(); passed != 3000 || shown > 200 || looked > 1500 {
		t.Errorf("%d shown, %d looked at, %d passed", shown, looked, passed)
	}
	tail.Close()
	tail.Close()

	var all []admin.Tailing
	for range 8 {
		all = append(all, f.tail(admin.TailOptions{}))
	}
	if _, err := f.Recorder().Tail(t.Context(), admin.TailOptions{Rate: 1, Cut: 1}); !errors.Is(err, admin.ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	all[0].Close()
	f.tail(admin.TailOptions{})
	for _, wrong := range []admin.TailOptions{{Listener: "none"}, {Plugin: "none"}, {Connection: "x"}} {
		if _, err := f.Recorder().Tail(t.Context(), wrong); !errors.Is(err, admin.ErrUnknown) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if _, err := f.Recorder().Tail(t.Context(), admin.TailOptions{Topics: []string{"a/#/b"}}); !errors.Is(err, admin.ErrInvalidPattern) {
		t.Errorf("a wrong pattern: %v", err)
	}
}
