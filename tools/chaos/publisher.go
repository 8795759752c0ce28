package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// crowd is what the publishers of a scenario have in common.
type crowd struct {
	addresses []string // of MQTT listeners; a publisher goes on to the next when one is gone
	topic     string   // what the topics begin with
	window    int      // messages of one publisher without an answer
	size      int      // of a payload
	rate      float64  // messages a second of one publisher; 0 is as fast as they are acknowledged
	random    *rand.Rand
	pace      *pace
}

// publisher is a source that publishes by MQTT at QoS 1 and sends again what was
// not acknowledged, in the same order, with the same message id.
type publisher struct {
	*crowd
	source *source
	random *rand.Rand
	at     int // of addresses

	open   []stamp // without an answer, in their order
	denied []stamp // refused: to be sent again, in their order
	begun  time.Time
	made   int
}

func (l *crowd) publisher(s *source) *publisher {
	return &publisher{crowd: l, source: s, random: rand.New(rand.NewPCG(l.random.Uint64(), uint64(s.number)))}
}

// run publishes until produce ends, and then goes on until everything is answered
// or ctx ends. An error is a fault of weft's or ours, never a lost connection.
func (p *publisher) run(ctx, produce context.Context) error {
	p.begun = time.Now()
	p.at = int(p.source.number)
	for ctx.Err() == nil && (produce.Err() == nil || len(p.open)+len(p.denied) > 0) {
		err := p.connection(ctx, produce)
		if err == nil {
			continue
		}
		if !errors.Is(err, errGone) {
			return fmt.Errorf("publisher %d: %w", p.source.number, err)
		}
		p.at++
		wait(ctx, 10*time.Millisecond+time.Duration(p.random.Int64N(int64(90*time.Millisecond))))
	}
	return nil
}

// connection is one connection's life.
func (p *publisher) connection(ctx, produce context.Context) error {
	c, err := connect(ctx, p.addresses[p.at%len(p.addresses)], fmt.Sprintf("chaos-publisher-%d", p.source.number), false)
	if err != nil {
		return err
	}
	defer c.Close()
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer release()
	if len(p.open) > 0 {
		p.source.again(len(p.open))
		if err := c.send(p.encode(p.open, true)); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := p.fill(produce, c); err != nil {
			return err
		}
		if len(p.open) == 0 {
			if produce.Err() != nil && len(p.denied) == 0 {
				return nil
			}
			wait(ctx, time.Millisecond)
			continue
		}
		if err := p.answers(c); err != nil {
			return err
		}
	}
	return nil
}

// fill sends as many messages as may be without an answer: first those that were
// refused, when everything before them is answered.
func (p *publisher) fill(produce context.Context, c *client) error {
	if len(p.denied) > 0 {
		if len(p.open) > 0 {
			return nil
		}
		wait(produce, 50*time.Millisecond+time.Duration(p.random.Int64N(int64(100*time.Millisecond))))
		p.open, p.denied = p.denied, nil
		slices.SortFunc(p.open, func(a, b stamp) int { return int(a.seq) - int(b.seq) })
		p.source.again(len(p.open))
		return c.send(p.encode(p.open, false))
	}
	old := len(p.open)
	for produce.Err() == nil && len(p.open) < p.window && p.due() {
		p.open = append(p.open, p.source.next())
		p.made++
	}
	return c.send(p.encode(p.open[old:], false))
}

// due tells whether the rate allows another message.
func (p *publisher) due() bool {
	return p.rate == 0 || float64(p.made) < p.rate*time.Since(p.begun).Seconds()
}

func (p *publisher) encode(all []stamp, dup bool) (b []byte) {
	for _, m := range all {
		b = packet.AppendPublish(b, &packet.Publish{
			Dup: dup, QoS: 1, ID: packetID(m.seq), Topic: fmt.Appendf(nil, "%s/%d", p.topic, m.source),
			Properties: packet.Properties(nil).AppendUser([]byte("message_id"), []byte(m.id())), Payload: m.append(nil, p.size),
		}, packet.V5)
	}
	return b
}

// packetID is unique among as many messages as can be without an answer.
func packetID(seq uint64) uint16 { return uint16(seq%65_535) + 1 }

// answers waits for one answer at least, and takes what has come.
func (p *publisher) answers(c *client) error {
	b, err := c.next(answerWithin)
	for ; b != nil && err == nil; b, err = c.cut() {
		if packet.TypeOf(b) != packet.TypePuback {
			return fmt.Errorf("%s where PUBACK was due", packet.TypeOf(b))
		}
		var ack packet.Ack
		if err := ack.Decode(b, packet.V5); err != nil {
			return err
		}
		at := slices.IndexFunc(p.open, func(m stamp) bool { return packetID(m.seq) == ack.ID })
		if at < 0 {
			return fmt.Errorf("PUBACK %d (%s) for no PUBLISH", ack.ID, ack.Reason)
		}
		m := p.open[at]
		p.open = slices.Delete(p.open, at, at+1)
		if ack.Reason.Failed() {
			p.source.denied()
			p.denied = append(p.denied, m)
			continue
		}
		p.source.accepted(m.seq)
		p.pace.acknowledged(time.Since(m.time))
	}
	return err
}

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
