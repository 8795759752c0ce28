package backbone

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// A work is a durable consumer of the log's stream, made before this node writes its
// first record: what is written from then on is the work's, whatever happens to the
// process that would have joined it.

// worksFrom is the first record of a work that is new.
func (l *Log) worksFrom() uint64 {
	if l.options.FromFirst {
		return 0
	}
	return seqOf(l.opened.Load()+1, 0)
}

// openWorks makes the works of the options that are not there.
func (l *Log) openWorks(ctx context.Context, s jetstream.Stream) error {
	// Their names alone are known to all servers: the state of one that is held by a
	// server which is down is waited for in vain.
	list := s.ConsumerNames(ctx)
	var there []string
	for name := range list.Name() {
		there = append(there, name)
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return fmt.Errorf("the list of works: %w", known(err))
	}
	for _, name := range l.options.Works {
		if slices.Contains(there, token(name)) {
			continue
		}
		o := WorkOptions{Name: name}
		o.fill()
		if _, err := newWork(ctx, s, o, l.worksFrom()); err != nil {
			return fmt.Errorf("work %s: %w", name, known(err))
		}
	}
	return nil
}

// newWork makes a work that begins with a record; 0 is the first that is there.
func newWork(ctx context.Context, s jetstream.Stream, o WorkOptions, from uint64) (jetstream.Consumer, error) {
	c := jetstream.ConsumerConfig{
		Durable: token(o.Name), AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: o.MaxPending, AckWait: o.Wait, MaxDeliver: -1,
	}
	if stream, _ := placeOf(from); stream > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, stream
	}
	made, err := s.CreateConsumer(ctx, c)
	if errors.Is(err, jetstream.ErrConsumerExists) { // another node was faster
		return s.Consumer(ctx, token(o.Name))
	}
	return made, err
}

// Works returns the names of the works that the log has, whoever made them.
func (l *Log) Works(ctx context.Context) ([]string, error) {
	s, err := l.stream.get(ctx)
	if err != nil {
		return nil, l.wrap(err)
	}
	names, err := works(ctx, s)
	return names, l.wrapIf(err)
}

func works(ctx context.Context, s jetstream.Stream) (names []string, err error) {
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable != "" { // others are followers
			names = append(names, textOf(info.Config.Durable))
		}
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, fmt.Errorf("the list of works: %w", known(err))
	}
	return names, nil
}

// EndWork removes a work with its position; that there is none is no error.
func (l *Log) EndWork(ctx context.Context, name string) error {
	s, err := l.stream.get(ctx)
	if err == nil {
		err = s.DeleteConsumer(ctx, token(name))
	}
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return l.wrap(fmt.Errorf("work %s: %w", name, known(err)))
	}
	return nil
}
