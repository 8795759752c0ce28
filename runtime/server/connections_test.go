package server_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const visited = `
loops: 2
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, acknowledge: "", subscribe: ["for/lines"]}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
api: {address: ""}
`

// Who is connected is listed, chosen and in order; what is asked of one is answered;
// one that is closed is gone, and counted as closed by an operator.
func TestConnections(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, visited)
		all := f.Connections()
		list := func(which admin.ConnectionsWanted) *weftv1.ConnectionsListResponse {
			t.Helper()
			if which.Size == 0 {
				which.Size = 100
			}
			r, err := all.List(t.Context(), which)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := list(admin.ConnectionsWanted{}); r.GetAll() != 0 || len(r.GetConnections()) != 0 {
			t.Fatalf("nobody has come, and %v are here", r)
		}
		one, two := f.dial("lines"), f.dial("lines")
		one.say(text("hello"))
		two.say(text("hello, and more of it"))
		f.await("weft_listener_messages_total", 2)
		client := f.mqtt(packet.V5, "pump-7")
		client.subscribes(packet.Subscription{Filter: []byte("a/b")})

		r := list(admin.ConnectionsWanted{Order: weftv1.ConnectionOrder_CONNECTION_ORDER_BYTES_IN, Listener: "lines"})
		if r.GetAll() != 3 || r.GetChosen() != 2 || r.GetConnections()[0].GetBytesIn() <= r.GetConnections()[1].GetBytesIn() {
			t.Fatalf("the lines by bytes: %v", r)
		}
		last := list(admin.ConnectionsWanted{Order: weftv1.ConnectionOrder_CONNECTION_ORDER_BYTES_IN, Listener: "lines", Skip: 1, Size: 1})
		if len(last.GetConnections()) != 1 || last.GetConnections()[0].GetId() != r.GetConnections()[1].GetId() {
			t.Errorf("the second page: %v", last)
		}
		if r := list(admin.ConnectionsWanted{Source: netip.MustParsePrefix("192.0.2.0/24")}); r.GetChosen() != 0 {
			t.Errorf("from elsewhere: %v", r)
		}
		found := list(admin.ConnectionsWanted{Contains: "pump", Source: netip.MustParsePrefix("127.0.0.0/8")})
		if found.GetChosen() != 1 || found.GetConnections()[0].GetClientId() != "pump-7" || found.GetConnections()[0].GetSubscriptions() != 1 {
			t.Fatalf("the client: %v", found)
		}
		whole, err := all.Get(t.Context(), found.GetConnections()[0].GetId())
		if err != nil || !slices.Equal(whole.GetSubscriptions(), []string{"a/b"}) || whole.GetConnection().GetProtocol() != "mqtt" {
			t.Errorf("all of the client: %v, %v", whole, err)
		}
		line := r.GetConnections()[0].GetId()
		if whole, err := all.Get(t.Context(), line); err != nil || !slices.Equal(whole.GetSubscriptions(), []string{"for/lines"}) {
			t.Errorf("all of a line: %v, %v", whole, err)
		}

		gone, err := all.Close(t.Context(), []string{line, "0-9999-1", "nonsense"})
		if err != nil || !slices.Equal(gone, []string{"0-9999-1", "nonsense"}) {
			t.Errorf("closed: %q, %v", gone, err)
		}
		for end := time.Now().Add(30 * time.Second); f.MetricOf("weft_connections_closed_total", "lines", "operator") != 1; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("an operator's closing is not counted")
			}
		}
		if _, err := all.Get(t.Context(), line); !errors.Is(err, admin.ErrGone) {
			t.Errorf("a connection that is closed: %v", err)
		}
	})
}

// A caller who does not wait is not answered, and a server that has ended says so.
func TestConnectionsOfAServerThatEnds(t *testing.T) {
	f := start(t, "auto", visited)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if _, err := f.Connections().List(ctx, admin.ConnectionsWanted{Size: 1}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody waits: %v", err)
	}
	f.end()
	if _, err := f.Connections().List(t.Context(), admin.ConnectionsWanted{Size: 1}); !errors.Is(err, admin.ErrDraining) {
		t.Errorf("it has ended: %v", err)
	}
}
