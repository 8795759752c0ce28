package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/config"
)

// A node's position in a route's log is a key of the bucket positions, ROUTE/NODE. It is
// written again from time to time though nothing has changed: that is the sign of life by
// which the others know that what the node has not read must stay. It says which works
// the node has part in besides, so that a destination which no node's configuration has
// any more does not hold the log, nor count among its consumers, for ever.

// position is such a key's value: seq and floor, at in seconds of 1970, then the works,
// and newest, all as unsigned varints but the names themselves.
type position struct {
	seq, floor uint64 // see savePosition
	at         time.Time
	works      []string
	newest     uint64 // the newest entry that the log has confirmed to this node
	signed     bool   // at and works are known: a version of weft wrote it that says so
}

func (n *position) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, n.seq), n.floor)
	b = binary.AppendUvarint(b, uint64(max(n.at.Unix(), 0)))
	b = binary.AppendUvarint(b, uint64(len(n.works)))
	for _, name := range n.works {
		b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
	}
	return binary.AppendUvarint(b, n.newest)
}

func parsePosition(b []byte) (n position) {
	short := false
	number := func() uint64 {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			short = true
			return 0
		}
		b = b[size:]
		return v
	}
	n.seq = number()
	n.floor = number()
	n.at = time.Unix(int64(number()), 0)
	for left := number(); left > 0 && !short; left-- {
		size := number()
		if short || size > uint64(len(b)) {
			short = true
			break
		}
		n.works, b = append(n.works, string(b[:size])), b[size:]
	}
	n.signed = !short
	n.newest = max(number(), n.seq)
	return n
}

// savePosition writes up to where this node has dealt with a log, and up to where all
// of its receivers have what they are to get.
func (k *keptSessions) savePosition(ctx context.Context, r *durableRoute, seq uint64) error {
	n := position{seq: seq, floor: r.floor, at: time.Now(), works: r.works(), newest: r.newest.Load()}
	if _, err := k.positions.Put(ctx, k.d.positionKey(r), n.append(nil), 0); err != nil {
		return fmt.Errorf("route %s: %w", r.name, err)
	}
	r.stored.Store(seq)
	r.savedNewest = n.newest
	r.unsaved, r.signed = false, time.Now()
	return nil
}

// missing goes on from the newest entry that was known, and says so if it is not there any
// more: the log's file was cut off, or another folder is in the place of the one that it
// had. A server remembers the number of its last message even where the message is gone.
func (r *durableRoute) missing(ctx context.Context, s *Server, info *backbone.LogInfo, was *position) {
	lost, newest := info.Cut(was.newest), was.newest
	dropped := r.Age > 0 && time.Since(was.at) >= r.Age.Std() || r.WhenFull == config.WhenFullOldest
	if !lost && newest > 0 && !dropped && !s.cfg.Backbone.External() {
		held, err := r.log.Holds(ctx, newest)
		lost = err == nil && !held
	}
	if !lost {
		r.newest.Store(newest)
		r.savedNewest = newest
		return
	}
	r.counts.lost.Add(1)
	s.log.Error("a log ends before what it has had: messages that were acknowledged are lost", "route", r.name, "last", r.last, "had", newest,
		"fix", "look at the disk; if the data folder was restored from a copy, what came after that copy is not in it")
}

// works are the names of the route's works.
func (r *durableRoute) works() (names []string) {
	for _, w := range r.once {
		names = append(names, w.to)
	}
	return names
}

// signEvery is how often a node gives its sign of life, and looks for those of others.
func (r *durableRoute) signEvery() time.Duration {
	if r.Gone == 0 {
		return time.Hour
	}
	return min(max(r.Gone.Std()/20, time.Second), time.Hour)
}

// sighted is a position as this process has found it.
type sighted struct {
	rev         uint64
	first, last time.Time // since when it is known not to have changed, and when it was looked at last
}

// unsighted is for how many signs of life nobody may have looked until what was seen
// before says nothing: the backbone may have been away, for those who were to sign, too.
const unsighted = 3

// sight returns the other nodes' positions in a log, as of now. Those of nodes that are
// gone for good are forgotten: their time is over by their own clock, and they have not
// changed for as long as it takes to be sure that the clocks do not differ.
func (d *durables) sight(ctx context.Context, r *durableRoute, now time.Time) ([]position, error) {
	keys, err := d.kept.positions.Keys(ctx, r.name+"/")
	if err != nil {
		return nil, err
	}
	var list []position
	seen := make(map[string]sighted, len(keys))
	for _, key := range keys {
		if key == d.positionKey(r) {
			continue
		}
		value, rev, err := d.kept.positions.Get(ctx, key)
		if errors.Is(err, backbone.ErrNoKey) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n, at := parsePosition(value), r.seen[key]
		if at.rev != rev || now.Sub(at.last) > unsighted*r.signEvery() {
			at = sighted{rev: rev, first: now}
		}
		at.last = now
		gone, watched := r.Gone.Std(), now.Sub(at.first)
		if gone > 0 && (watched >= gone || n.signed && now.Sub(n.at) >= gone && watched >= gone/4) {
			if err := d.forget(ctx, r, key, rev, n); err != nil {
				return nil, err
			}
			continue
		}
		seen[key] = at
		list = append(list, n)
	}
	r.seen = seen
	return list, nil
}

// forget removes the position of a node that is gone for good.
func (d *durables) forget(ctx context.Context, r *durableRoute, key string, rev uint64, n position) error {
	err := d.kept.positions.Delete(ctx, key, rev)
	if errors.Is(err, backbone.ErrConflict) {
		return nil // it is back
	}
	if err != nil {
		return err
	}
	r.counts.gone.Add(1)
	d.server.log.Warn("a node has not been heard of for as long as the route says: what it had not read does not hold the log any longer",
		"route", r.name, "node", key[len(r.name)+1:], "gone", r.Gone.String(), "position", n.seq, "fix", "a longer durable.gone, if nodes may be away for longer")
	return nil
}

// endWorks ends the works that are in nobody's configuration any more.
func (d *durables) endWorks(ctx context.Context, r *durableRoute, others []position) error {
	there, err := r.log.Works(ctx)
	if err != nil {
		return err
	}
	own := r.works()
	for _, name := range there {
		wanted := slices.Contains(own, name) || slices.ContainsFunc(others, func(n position) bool {
			return !n.signed || slices.Contains(n.works, name)
		})
		if wanted {
			continue
		}
		if err := r.log.EndWork(ctx, name); err != nil {
			return err
		}
		r.counts.ended.Add(1)
		d.server.log.Info("a destination is in no node's configuration any more: what the log had for it is nobody's", "route", r.name, "to", name)
	}
	return nil
}

// look gives a route's sign of life, and looks after what nodes have left behind.
func (d *durables) look(ctx context.Context, r *durableRoute) error {
	if time.Since(r.looked) < r.signEvery() {
		return nil
	}
	r.looked = time.Now()
	var others []position
	if d.server.cfg.Backbone.External() { // else other names are what this node was called before
		var err error
		if others, err = d.sight(ctx, r, time.Now()); err != nil {
			return err
		}
	}
	return d.endWorks(ctx, r, others)
}
