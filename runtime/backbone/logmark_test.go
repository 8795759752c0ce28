package backbone_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
)

// deaf is a way to a NATS server on which the answers to what was published can get
// lost: what the server keeps it shows, but it confirms nothing. That is how one behaves
// whose disk has failed.
type deaf struct {
	net.Listener
	on   atomic.Bool
	lost atomic.Int64
}

func newDeaf(t *testing.T, to string) *deaf {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { d.pass(client, server); _ = client.Close() }()
		}
	}()
	return d
}

// pass hands on what the server says, protocol line by protocol line.
func (d *deaf) pass(client io.Writer, server io.Reader) {
	for from := bufio.NewReader(server); ; {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return
		}
		var body []byte
		if words := strings.Fields(string(line)); len(words) > 3 && (words[0] == "MSG" || words[0] == "HMSG") {
			n, err := strconv.Atoi(words[len(words)-1])
			if err != nil {
				return
			}
			body = make([]byte, n+2)
			if _, err := io.ReadFull(from, body); err != nil {
				return
			}
		}
		if d.on.Load() && bytes.HasPrefix(body, []byte(`{"stream":"`)) && bytes.Contains(body, []byte(`"seq":`)) {
			d.lost.Add(1)
			continue
		}
		if _, err := client.Write(append(line, body...)); err != nil {
			return
		}
	}
}

// What a server shows but has not confirmed is not acknowledged as the cluster's: not
// when it is found there, and not when it is a duplicate.
func TestNothingIsAcknowledgedUnconfirmed(t *testing.T) {
	s := natstest.Start(t, natstest.Options{})
	for name, id := range map[string]func(int) string{"found": noID, "duplicates": someID} {
		t.Run(name, func(t *testing.T) {
			way := newDeaf(t, s.Addr())
			b := open(t, func(o *backbone.Options) { o.URLs = []string{"nats://" + way.Addr().String()} })
			l := openLog(t, b, backbone.LogOptions{Name: name, Window: 1 << 40})
			appendAll(t, l, 0, 10, id)
			way.on.Store(true)
			answers := make(chan backbone.Appended, 40)
			for i := 10; i < 50; i++ {
				if err := l.Append(id(i), 0, record(i), func(a backbone.Appended) { answers <- a }); err != nil {
					t.Fatal(err)
				}
			}
			for range cap(answers) {
				if a := <-answers; a.Err != nil || a.Seq != 0 || a.Duplicate {
					t.Fatalf("%+v: the server has confirmed nothing", a)
				}
			}
			if got := l.Waiting().Backlog; got != 40 {
				t.Fatalf("%d records wait for the server, want all 40", got)
			}
			seen := way.lost.Load()
			eventually(t, "tried again", func() bool { return way.lost.Load() > seen+3 })
			if got := l.Waiting().Backlog; got != 40 {
				t.Fatalf("%d records wait for the server that has confirmed none, want all 40", got)
			}
			way.on.Store(false)
			eventually(t, "forwarded", func() bool { w := l.Waiting(); return w.Backlog == 0 && !w.Away })
			appendAll(t, l, 50, 60, id)
			var want []int
			for i := range 60 {
				want = append(want, i)
			}
			for i, e := range follow(t, l, 0, 60) {
				if got := numberOf(e.Record); got != want[i] || e.Skipped != 0 {
					t.Fatalf("entry %d is %d, skipped %d", i, got, e.Skipped)
				}
			}
			info, err := l.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if entries, err := l.Read(t.Context(), info.Last, 10); err != nil || len(entries) != 1 || numberOf(entries[0].Record) != 59 {
				t.Errorf("behind the newest record there are %d more: %v", len(entries), err)
			}
		})
	}
}
