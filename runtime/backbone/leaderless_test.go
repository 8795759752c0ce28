package backbone

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestLeaderless: a write waits for a leader that is being chosen, is then done once,
// and gives up in time where none is. The stream is one that this test plays.
func TestLeaderless(t *testing.T) {
	conn, err := nats.Connect("", nats.InProcessServer(hub(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := &Backbone{conn: conn, closed: make(chan struct{})}
	if b.js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: "stream", Data: []byte("x"), Header: nats.Header{}}
	took := func(answers ...string) (*jetstream.PubAck, int, error) {
		t.Helper()
		var asked atomic.Int64
		chosen := time.AfterFunc(time.Second, func() { // the election, longer than the client itself tries
			_, _ = conn.Subscribe(m.Subject, func(m *nats.Msg) {
				n := int(asked.Add(1))
				_ = m.Respond([]byte(answers[min(n, len(answers))-1]))
			})
		})
		defer chosen.Stop()
		ack, err := b.publish(t.Context(), m, nil)
		return ack, int(asked.Load()), err
	}
	const noLeader = `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`
	if ack, asked, err := took(noLeader, `{"stream":"s","seq":7}`); err != nil || ack.Sequence != 7 || asked != 2 {
		t.Errorf("%+v after %d questions, %v", ack, asked, err)
	}

	// Nobody comes: an end, by the bound and before it by the caller's.
	m.Subject = "nobody"
	begun := time.Now()
	if _, err := b.publish(t.Context(), m, nil); !errors.Is(known(err), ErrAway) || time.Since(begun) < leaderWithin {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.publish(ctx, m, nil); !errors.Is(known(err), ErrAway) {
		t.Error(err)
	}

	// What was refused is not asked again.
	m.Subject = "refused"
	const conflict = `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"}}`
	if _, asked, err := took(conflict); !errors.Is(known(err), ErrConflict) || asked != 1 {
		t.Errorf("%d questions, %v", asked, err)
	}
}
