package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone"
)

// durableCounts is what a durable route has done on this node.
type durableCounts struct {
	appended, duplicates            atomic.Uint64
	full, away, tooLarge            atomic.Uint64
	again, dead, malformed, skipped atomic.Uint64
	followed                        atomic.Uint64 // the position
	gone, ended, lost               atomic.Uint64
}

// infoWithin is how long a scrape waits for what the backbone knows of a log.
const infoWithin = time.Second

// lagOf is about how many entries of a log are behind a position: numbers of entries
// have gaps.
func lagOf(info *backbone.LogInfo, position uint64) uint64 {
	switch {
	case info.Records == 0 || position >= info.Last:
		return 0
	case position < info.First:
		return info.Records
	}
	part := float64(info.Last-position) / float64(info.Last-info.First+1)
	return max(uint64(part*float64(info.Records)), 1)
}

// metrics are those of the durable routes; none if there are none.
func (d *durables) metrics(ctx context.Context) []admin.Metric {
	if d == nil {
		return nil
	}
	appended := newFamily("weft_log_appended_total", "Messages that the log of a durable route has kept.", admin.Counter, "route")
	duplicates := newFamily("weft_log_duplicates_total", "Messages that the log had already, by their id.", admin.Counter, "route")
	refused := newFamily("weft_log_refused_total", "Messages that the log has not kept, by reason.", admin.Counter, "route", "reason")
	again := newFamily("weft_log_redeliveries_total", "Times that a destination did not take an entry and gets it again.", admin.Counter, "route")
	dead := newFamily("weft_log_dead_total", "Entries that became dead letters, or were lost as such.", admin.Counter, "route")
	malformed := newFamily("weft_log_malformed_total", "Entries that are no message of this version of weft.", admin.Counter, "route")
	skipped := newFamily("weft_log_skipped_total", "Entries that the log's bounds dropped before this node had read them.", admin.Counter, "route")
	gone := newFamily("weft_log_nodes_gone_total", "Nodes that were not heard of for as long as durable.gone says, and hold the log no longer.", admin.Counter, "route")
	ended := newFamily("weft_log_destinations_ended_total", "Destinations that ended in the log, as no node's configuration has them any more.", admin.Counter, "route")
	lost := newFamily("weft_log_cut_total", "Times that the log ended before what this node knows to have been in it.", admin.Counter, "route")
	pending := newFamily("weft_log_pending", "Messages that wait for the log's answer.", admin.Gauge, "route")
	entries := newFamily("weft_log_entries", "Entries of the log.", admin.Gauge, "route")
	bytes := newFamily("weft_log_bytes", "Bytes of the log.", admin.Gauge, "route")
	limit := newFamily("weft_log_limit_bytes", "Bytes that the log may have; none where only other bounds hold.", admin.Gauge, "route")
	lag := newFamily("weft_log_lag", "Entries that this node has not taken to its receivers yet.", admin.Gauge, "route")
	for _, r := range d.list {
		c := &r.counts
		if r.Size > 0 {
			limit.add(uint64(r.Size), r.name)
		}
		appended.add(c.appended.Load(), r.name)
		duplicates.add(c.duplicates.Load(), r.name)
		refused.add(c.full.Load(), r.name, "full")
		refused.add(c.away.Load(), r.name, "away")
		refused.add(c.tooLarge.Load(), r.name, "too_large")
		again.add(c.again.Load(), r.name)
		dead.add(c.dead.Load(), r.name)
		malformed.add(c.malformed.Load(), r.name)
		skipped.add(c.skipped.Load(), r.name)
		gone.add(c.gone.Load(), r.name)
		ended.add(c.ended.Load(), r.name)
		lost.add(c.lost.Load(), r.name)
		limited, cancel := context.WithTimeout(ctx, infoWithin)
		info, err := r.log.Info(limited)
		cancel()
		if err != nil {
			continue
		}
		pending.add(uint64(max(info.Waiting, 0)), r.name)
		entries.add(info.Records, r.name)
		bytes.add(info.Bytes, r.name)
		if r.fan {
			lag.add(lagOf(&info, c.followed.Load()), r.name)
		}
	}
	kept := d.kept.behind.stats()
	return append(d.kept.moves.metrics(), []admin.Metric{
		appended.Metric, duplicates.Metric, refused.Metric, again.Metric, dead.Metric, malformed.Metric, skipped.Metric, gone.Metric, ended.Metric, lost.Metric,
		pending.Metric, entries.Metric, bytes.Metric, limit.Metric, lag.Metric,
		single("weft_log_read_back_total", "Reads of entries that MQTT sessions had missed.", admin.Counter, d.readers.rounds.Load()),
		single("weft_sessions_written_total", "Times that a kept MQTT session was written to the backbone.", admin.Counter, kept.Written),
		single("weft_sessions_unwritten_total", "Times that this has failed, or found too many waiting.", admin.Counter, kept.Failed+kept.Refused),
		single("weft_sessions_pending", "Kept sessions whose newest state is not in the backbone yet.", admin.Gauge, uint64(kept.Pending)),
	}...)
}
