package backbone

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Info asks the backbone for the log's state. With an error, what this node knows by
// itself is there.
func (l *Log) Info(ctx context.Context) (LogInfo, error) {
	i := l.Waiting()
	stream, err := l.stream.get(ctx)
	if err != nil {
		return i, l.wrap(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(l.markSubject()))
	if err != nil {
		return i, l.wrap(known(err))
	}
	s := info.State
	marks := s.Subjects[l.markSubject()]
	if marks > 0 {
		s.NumSubjects--
	}
	i.First, i.Last, i.Records, i.Bytes = seqOf(s.FirstSeq, 0), seqOf(s.LastSeq, 0), s.Msgs-min(marks, s.Msgs), s.Bytes
	i.Oldest, i.Newest = s.FirstTime, s.LastTime
	if s.Msgs == 0 {
		i.First = seqOf(s.LastSeq+1, 0)
	} else if err := l.count(ctx, s, &i); err != nil {
		return i, l.wrap(err)
	}
	if i.Delayed, err = l.delays.count(ctx); err != nil {
		return i, l.wrap(err)
	}
	return i, nil
}

// Cut tells whether the log ends before a record that was in it once, in a message that
// is not there any more for another reason than that the log's bounds dropped it.
func (i *LogInfo) Cut(seq uint64) bool {
	had, _ := placeOf(seq)
	has, _ := placeOf(i.Last)
	return had > has
}

// Holds tells whether the message with a record is in the log.
func (l *Log) Holds(ctx context.Context, seq uint64) (bool, error) {
	stream, _ := placeOf(seq)
	_, err := l.get1(ctx, stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, l.wrapIf(err)
}

// Waiting is the part of Info that this node knows without asking anybody: Waiting,
// WaitingBytes, Skipped, Away, and Backlog with what belongs to it.
func (l *Log) Waiting() LogInfo {
	var i LogInfo
	l.appender.mu.Lock()
	i.Waiting, i.WaitingBytes = l.appender.waiting, l.appender.bytes
	l.appender.mu.Unlock()
	i.Skipped = l.skipped.Load()
	l.forward.info(&i)
	return i
}

// count counts the records of a log that is not empty, by the numbers which the
// first and the last message carry; with several writers by what those two hold.
func (l *Log) count(ctx context.Context, s jetstream.StreamState, i *LogInfo) error {
	var ends [2]decoded
	guess := false
	for k, seq := range [2]uint64{s.FirstSeq, s.LastSeq} {
		m, err := l.get1(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil // dropped meanwhile
		}
		if err != nil {
			return err
		}
		if ends[k], err = decode(m.data); err != nil {
			l.unreadable(seq, err)
			ends[k], guess = decoded{count: 1}, true
		}
		for range marksPassed {
			if ends[k].count > 0 || k == 0 && seq >= s.LastSeq || k == 1 && seq <= s.FirstSeq {
				break
			}
			seq += 1 - 2*uint64(k) // a mark is no record: the one behind it, or before it
			if m, err := l.get1(ctx, seq); err == nil {
				if d, err := decode(m.data); err == nil {
					ends[k] = d
				}
			}
		}
		if k == 1 {
			s.LastSeq = seq
		}
	}
	first, last := ends[0], ends[1]
	i.Last = seqOf(s.LastSeq, max(last.count, 1)-1)
	switch {
	case l.counted:
	case first.count == 0 || last.count == 0:
	case !guess && first.writer == last.writer && s.NumSubjects <= 1 && last.first >= first.first:
		i.Records = last.first + uint64(last.count) - first.first
	default:
		i.Records = i.Records * uint64(first.count+last.count) / 2
	}
	return nil
}

// Release drops all records below a number: everybody has them. The newest record
// of each node stays, and some before a number in the middle of a group.
func (l *Log) Release(ctx context.Context, below uint64) error {
	seq, _ := placeOf(below)
	keep, err := l.newest(ctx)
	if err != nil {
		return l.wrap(fmt.Errorf("release below %d: %w", below, err))
	}
	all := seq
	delete(keep, l.markSubject())
	for _, last := range keep {
		all = min(all, last)
	}
	if err := l.purge(ctx, all, ""); err != nil {
		return l.wrap(fmt.Errorf("release below %d: %w", below, err))
	}
	if all == seq {
		return nil
	}
	// A node that has not written for long: the others' records go one by one.
	for subject, last := range keep {
		if last > all {
			if err := l.purge(ctx, min(seq, last), subject); err != nil {
				return l.wrap(fmt.Errorf("release below %d: %w", below, err))
			}
		}
	}
	return nil
}

func (l *Log) purge(ctx context.Context, below uint64, subject string) error {
	if below <= 1 {
		return nil
	}
	s, err := l.stream.get(ctx)
	if err != nil {
		return err
	}
	o := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSequence(below)}
	if subject != "" {
		o = append(o, jetstream.WithPurgeSubject(subject))
	}
	return known(s.Purge(ctx, o...))
}
