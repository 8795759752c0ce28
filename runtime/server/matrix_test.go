package server_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
)

// said is a message as one protocol can say it, or show it.
type said struct {
	topic    string
	kind     abi.Type
	seq      uint64
	priority uint8
	qos      uint8
	attrs    map[string]string
	payload  []byte
}

// everything is what the clients of the matrix say, as far as their protocol can.
var everything = said{
	priority: 5,
	qos:      2,
	attrs: map[string]string{
		"site": "north", "content_type": "application/x-write", "response_topic": "answers/7", "correlation_data": "c-1",
		"cmd": "9", "node_id": "21", "cmd_type": "2", "channel": "3", "unit": "7",
	},
}

// speech is one protocol, or one way of it: what it can say, and its clients.
type speech struct {
	name string
	// note is what the table says of it beside what it carries.
	note string

	topic    bool
	priority bool
	qos      uint8
	attrs    []string // "*": any
	adds     map[string]string

	// kind and seq are those of the messages that the client says.
	kind abi.Type
	seq  uint64
	// kinds is what a client sees of messages of each type; nil: the wire has none.
	kinds []abi.Type
	// shows adds what the wire always has.
	shows func(m, seen *said)

	// speak makes a client that says one message; nil: the protocol cannot.
	speak func(*matrix) func(said)
	// listen makes a client that hears messages; nil: the protocol cannot.
	listen func(*matrix) <-chan said
}

// in is the message as weft has it when it came by p.
func (p *speech) in(number int) said {
	m := said{topic: "m/" + p.name, kind: p.kind, seq: p.seq, attrs: p.only(everything.attrs), payload: writePDU(number)}
	if p.priority {
		m.priority = everything.priority
	}
	m.qos = min(p.qos, everything.qos)
	maps.Copy(m.attrs, p.adds)
	return m
}

// out is what a client of p sees of the message.
func (p *speech) out(m said) said {
	seen := said{attrs: p.only(m.attrs), payload: m.payload, qos: min(p.qos, m.qos)}
	if p.topic {
		seen.topic = m.topic
	}
	if p.priority {
		seen.priority = m.priority
	}
	if p.kinds != nil {
		seen.kind = p.kinds[m.kind]
	}
	if p.shows != nil {
		p.shows(&m, &seen)
	}
	return seen
}

func (p *speech) only(attrs map[string]string) map[string]string {
	some := map[string]string{}
	for name, value := range attrs {
		if slices.Contains(p.attrs, name) || slices.Contains(p.attrs, "*") {
			some[name] = value
		}
	}
	return some
}

// writePDU is a payload that every protocol carries: a Modbus request that writes 117
// registers, of nearly all byte values, but without the end of a line.
func writePDU(number int) []byte {
	const registers = 117
	b := []byte{16, 1, 'A' + byte(number), 0, registers, 2 * registers}
	for i := range 2 * registers {
		b = append(b, 255-byte(i))
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte{0})
}

// differs says in what the message is not as expected.
func (want said) differs(got said) string {
	var all []string
	add := func(what string, got, want any) {
		if got != want {
			all = append(all, fmt.Sprintf("%s %v, want %v", what, got, want))
		}
	}
	add("topic", got.topic, want.topic)
	add("type", got.kind, want.kind)
	add("priority", got.priority, want.priority)
	add("QoS", got.qos, want.qos)
	add("attributes", fmt.Sprint(got.attrs), fmt.Sprint(want.attrs))
	if !bytes.Equal(got.payload, want.payload) {
		all = append(all, fmt.Sprintf("payload %x, want %x", got.payload, want.payload))
	}
	return strings.Join(all, "; ")
}

// TestMatrix: what came by any protocol goes by every other, once, with everything
// that both can say.
func TestMatrix(t *testing.T) {
	for _, driver := range drivers {
		for loops := 1; loops <= 2; loops++ {
			t.Run(fmt.Sprintf("%s, loops %d", driver, loops), func(t *testing.T) { newMatrix(t, driver, loops).run() })
		}
	}
}

func (x *matrix) run() {
	all := speeches()
	hears := make([]<-chan said, len(all))
	for i := range all {
		if all[i].listen != nil {
			hears[i] = all[i].listen(x)
		}
	}
	says := make([]func(said), len(all))
	for i := range all {
		if all[i].speak != nil {
			says[i] = all[i].speak(x)
		}
	}
	x.subscribed()
	patience := 20 * time.Second
	for i := range all {
		if says[i] == nil {
			continue
		}
		m := all[i].in(i)
		says[i](m)
		for j := range all {
			if hears[j] == nil {
				continue
			}
			select {
			case got, ok := <-hears[j]:
				if why := all[j].out(m).differs(got); !ok {
					x.t.Errorf("%s to %s: the connection has ended", all[i].name, all[j].name)
					hears[j] = nil
				} else if why != "" {
					x.t.Errorf("%s to %s: %s", all[i].name, all[j].name, why)
				}
			case <-time.After(patience):
				x.t.Errorf("%s to %s: nothing came", all[i].name, all[j].name)
				patience = 100 * time.Millisecond
			}
		}
	}
	// What comes next is the next message: nothing came twice.
	last := writePDU(len(all))
	if _, err := x.f.Bus().Publish(x.t.Context(), &abi.Message{Topic: []byte("m/last"), Payload: last}); err != nil {
		x.t.Fatal(err)
	}
	for j := range all {
		if hears[j] == nil {
			continue
		}
		select {
		case got := <-hears[j]:
			if !bytes.Equal(got.payload, last) {
				x.t.Errorf("%s hears once more, or late: %+v", all[j].name, got)
			}
		case <-time.After(patience):
			x.t.Errorf("%s does not hear the last message", all[j].name)
		}
	}
}

// TestWhatFramesHaveNoRoomFor: it reaches the others, and is counted.
func TestWhatFramesHaveNoRoomFor(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		x := &matrix{t: t}
		listeners := ""
		for _, name := range []string{"line", "mcp-node", "length32"} {
			listeners += fmt.Sprintf(matrixListeners, name)
		}
		x.f = start(t, driver, "listeners:"+listeners)
		t.Cleanup(x.readers.Wait)
		hears := map[string]<-chan said{}
		for _, p := range speeches() {
			if slices.Contains([]string{"line", "mcp-node", "length32"}, p.name) {
				hears[p.name] = p.listen(x)
			}
		}
		x.f.await("weft_subscriptions", 3)
		long := strings.Repeat("x", 300)
		for i, m := range []struct {
			payload string
			by      []string
		}{{"two\nlines", []string{"mcp-node", "length32"}}, {long, []string{"line", "length32"}}} {
			if _, err := x.f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("m/x"), Payload: []byte(m.payload)}); err != nil {
				t.Fatal(err)
			}
			for _, name := range m.by {
				if got := <-hears[name]; string(got.payload) != m.payload {
					t.Errorf("%s hears %q, want %q", name, got.payload, m.payload)
				}
			}
			x.f.awaitOf("weft_copies_dropped_total", "unencodable", float64(i+1))
		}
	})
}

// TestMatrixIsDocumented: the table in PROTOCOLS.md is that of the test.
func TestMatrixIsDocumented(t *testing.T) {
	const file, from, to = "PROTOCOLS.md", "<!-- table -->\n", "<!-- end -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q and %q", file, from, to)
	}
	want := before + from + table() + to + after
	if want == string(text) {
		return
	}
	if os.Getenv("WEFT_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what the test says: WEFT_UPDATE=1 go test ./runtime/server -run TestMatrixIsDocumented", file)
}

// table is the table of what each protocol carries.
func table() string {
	var b strings.Builder
	b.WriteString("| protocol | in, out | topic | type | priority | QoS | attributes | notes |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	names, cells := "", ""
	end := func() {
		if names != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", names, cells)
		}
	}
	for _, p := range speeches() {
		if c := p.cells(); c == cells {
			names += ", " + p.name
		} else {
			end()
			names, cells = p.name, c
		}
	}
	end()
	return b.String()
}

// cells is what the table says of a protocol.
func (p *speech) cells() string {
	var ways []string
	if p.speak != nil {
		ways = append(ways, "in")
	}
	if p.listen != nil {
		ways = append(ways, "out")
	}
	yes := map[bool]string{true: "yes", false: "-"}
	attrs := strings.Join(p.attrs, ", ")
	switch added := strings.Join(slices.Sorted(maps.Keys(p.adds)), ", "); {
	case attrs == "*":
		attrs = "any"
	case added != "" && attrs != "":
		attrs += "; in: " + added
	case added != "":
		attrs = "in: " + added
	}
	if attrs == "" {
		attrs = "-"
	}
	return strings.Join([]string{
		strings.Join(ways, ", "), yes[p.topic], kindsText(p.kinds), yes[p.priority], []string{"-", "1", "2"}[p.qos], attrs, p.note,
	}, " | ")
}

// kindsText says which types a wire carries, and what it makes of the others.
func kindsText(kinds []abi.Type) string {
	if kinds == nil {
		return "-"
	}
	var own, others []string
	for k, shown := range kinds {
		if kind := abi.Type(k); kind == shown {
			own = append(own, kind.String())
		} else {
			others = append(others, kind.String()+" as "+shown.String())
		}
	}
	return strings.Join(append(own, others...), ", ")
}
