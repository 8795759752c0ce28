package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// subscriber is a consumer with a session at QoS 1 that outlives its connections,
// and comes back to it whenever one ends.
type subscriber struct {
	addresses []string
	filter    string
	consumer  *consumer
	random    *rand.Rand
	absent    time.Duration // how long it stays away at least

	subscribed bool
	ready      chan struct{} // closed when it has subscribed for the first time
	connects   atomic.Int64
	forgotten  atomic.Int64 // sessions that weft did not have any more
	last       atomic.Value // why the last connection ended, text
}

func newSubscriber(addresses []string, filter string, c *consumer, random *rand.Rand) *subscriber {
	return &subscriber{addresses: addresses, filter: filter, consumer: c, random: random, ready: make(chan struct{})}
}

// run subscribes until ctx ends. An error is a fault of weft's or ours, never a
// lost connection.
func (s *subscriber) run(ctx context.Context) error {
	for at := 0; ctx.Err() == nil; at++ {
		err := s.connection(ctx, s.addresses[at%len(s.addresses)])
		if err != nil && !errors.Is(err, errGone) && ctx.Err() == nil {
			return fmt.Errorf("subscriber %s: %w", s.consumer.name, err)
		}
		if err != nil {
			s.last.Store(err.Error())
		}
		wait(ctx, s.absent+10*time.Millisecond+time.Duration(s.random.Int64N(int64(40*time.Millisecond))))
	}
	return nil
}

func (s *subscriber) connection(ctx context.Context, address string) error {
	c, err := connect(ctx, address, "chaos-subscriber-"+s.consumer.name, false)
	if err != nil {
		return err
	}
	defer c.Close()
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer release()
	s.connects.Add(1)
	first := !s.subscribed
	var replies []byte
	take := func(b []byte) error {
		var err error
		replies, err = s.take(replies, b)
		return err
	}
	if !c.present || first { // a session without a subscription is what a first try may have left
		if !first {
			s.forgotten.Add(1)
		}
		if err := c.subscribe(s.filter, 1, take); err != nil {
			return err
		}
	}
	if first {
		s.subscribed = true
		close(s.ready)
	}
	for {
		if err := c.send(replies); err != nil {
			return err
		}
		replies = replies[:0]
		b, err := c.next(time.Second)
		if idle(err) {
			// Somebody who listens does not notice that the other side is gone.
			replies = packet.AppendPingreq(replies)
			continue
		}
		for ; b != nil && err == nil; b, err = c.cut() {
			err = take(b)
			if err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// take records a message, and adds its acknowledgement to the replies.
func (s *subscriber) take(replies, b []byte) ([]byte, error) {
	switch packet.TypeOf(b) {
	case packet.TypePublish:
	case packet.TypePingresp:
		return replies, nil
	default:
		return replies, fmt.Errorf("%s where PUBLISH was due", packet.TypeOf(b))
	}
	var m packet.Publish
	if err := m.Decode(b, packet.V5, packet.FromServer); err != nil {
		return replies, err
	}
	var id []byte
	for f := range m.Properties.All() {
		if f.ID == packet.UserProperty && string(f.Name) == "message_id" {
			id = f.Value
		}
	}
	s.consumer.take(m.Payload, id)
	if m.QoS > 0 {
		replies = packet.AppendAck(replies, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, packet.V5)
	}
	return replies, nil
}
