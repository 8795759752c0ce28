package server

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/plugins/latency"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/delivery"
)

// span is what has happened between two samples. from is now's, where there is no other:
// then nothing has.
type span struct {
	from, now *sample
	seconds   float64 // 0: there is no other
}

// counted is the span with a beginning that was counted by the same setup as its end:
// where the configuration has changed between, nothing is known of before.
func (s *span) counted() *span {
	if s.from.flowed.setup == s.now.flowed.setup {
		return s
	}
	from := *s.from
	from.flowed = s.now.flowed
	for i := len(from.messages); i < len(s.now.messages); i++ {
		from.messages = append(from.messages[:i:i], s.now.messages[i])
	}
	return &span{&from, s.now, s.seconds}
}

// rate is how many a second there were.
func (s *span) rate(before, after uint64) float64 {
	if s.seconds == 0 || after <= before {
		return 0
	}
	return float64(after-before) / s.seconds
}

// took is how long things took within the span.
func (s *span) took(before, after *latency.Counts) *weftv1.Latency {
	if s.seconds == 0 {
		return &weftv1.Latency{}
	}
	return showLatency(after.Since(before))
}

func showLatency(c latency.Counts) *weftv1.Latency {
	shown := &weftv1.Latency{Count: c.Count()}
	if shown.Count > 0 {
		shown.P50, shown.P95 = durationpb.New(c.Quantile(0.5)), durationpb.New(c.Quantile(0.95))
		shown.P99, shown.Max = durationpb.New(c.Quantile(0.99)), durationpb.New(c.Max())
	}
	return shown
}

// snapshot shows how it is now; from may be nil.
func (s *Server) snapshot(from, now *sample) *weftv1.Snapshot {
	w := span{from: cmp.Or(from, now), now: now}
	out := &weftv1.Snapshot{Time: timestamppb.New(now.at), Instance: s.instance(now), Changes: s.journal.list()}
	if between := now.at.Sub(w.from.at); between > 0 {
		w.seconds, out.Interval = between.Seconds(), durationpb.New(between)
	}
	out.Signals = s.signals(&w)
	out.Ledger = showLedger(&w)
	out.Map = s.chainMap(&w)
	out.Verdict = s.verdict(&w, out)
	return out
}

func (s *Server) instance(now *sample) *weftv1.Instance {
	state, reason := s.life.State()
	return &weftv1.Instance{
		Node: s.node, Version: s.version, State: state.String(), Since: timestamppb.New(s.life.Since()), Reason: utf8(reason),
		Started: timestamppb.New(s.started), Uptime: durationpb.New(now.at.Sub(s.started).Truncate(time.Millisecond)),
		Loops: uint32(len(s.paths)), ConfigFile: now.config.File,
	}
}

// signals are the four golden ones.
func (s *Server) signals(w *span) *weftv1.Signals {
	a, b := &w.from.ledger, &w.now.ledger
	out := &weftv1.Signals{
		InRate: w.rate(a.In, b.In), OutRate: w.rate(a.Copies, b.Copies),
		LostRate: w.rate(a.Lost(), b.Lost()), DeadRate: w.rate(a.Dead, b.Dead), FilteredRate: w.rate(a.Filtered(), b.Filtered()),
		Latency: w.took(&w.from.way, &w.now.way), Saturation: s.saturation(w),
		DeadLetters: w.now.letters,
	}
	if ended := b.Ended() - min(b.Ended(), a.Ended()); ended > 0 {
		wrong := b.Lost() + b.Dead - min(b.Lost()+b.Dead, a.Lost()+a.Dead)
		out.ErrorShare = min(float64(wrong)/float64(ended), 1)
	}
	var in, out2 [2]uint64
	for i, one := range []*sample{w.from, w.now} {
		for k := range one.engine.Listeners {
			in[i] += one.engine.Listeners[k].BytesIn
			out2[i] += one.engine.Listeners[k].BytesOut
		}
	}
	out.BytesInRate, out.BytesOutRate = w.rate(in[0], in[1]), w.rate(out2[0], out2[1])
	return out
}

func (s *Server) saturation(w *span) *weftv1.Saturation {
	now := w.now
	out := &weftv1.Saturation{
		ConnectionsLimit: uint64(s.cfg.Limits.Connections), MemoryBytes: now.memory, MemoryLimitBytes: now.limit, Goroutines: goroutines(),
	}
	for i := range now.engine.Loops {
		l, busy := &now.engine.Loops[i], 0.0
		if i < len(w.from.engine.Loops) && w.seconds > 0 {
			busy = min(max((l.Busy-w.from.engine.Loops[i].Busy).Seconds()/w.seconds, 0), 1)
		}
		out.Loops = append(out.Loops, busy)
		out.Busiest = max(out.Busiest, busy)
		out.QueuedBytes += uint64(max(l.Queued, 0))
		out.PausedConnections += uint64(max(l.Paused, 0))
	}
	for i := range now.engine.Listeners {
		out.Connections += uint64(max(now.engine.Listeners[i].Open, 0))
	}
	for i := range now.logs {
		if share := now.logs[i].share(); share >= out.FullestLogShare {
			out.FullestLog, out.FullestLogShare = now.logs[i].route, share
		}
	}
	return out
}

// showLedger is what became of all messages.
func showLedger(w *span) *weftv1.DropLedger {
	l, before := &w.now.ledger, &w.from.ledger
	out := &weftv1.DropLedger{
		In: l.In, Emitted: l.Emitted, Recalled: l.Recalled, Delivered: l.Delivered, Logged: l.Logged, Replied: l.Replied,
		Filtered: l.Filtered(), Dropped: l.Lost(), Dead: l.Dead, InFlight: l.InFlight(), Copies: l.Copies,
	}
	for r := range delivery.Reasons() {
		out.Reasons = reason(out.Reasons, w, r.String(), before.Dropped[r], l.Dropped[r])
		out.CopyReasons = reason(out.CopyReasons, w, r.String(), before.CopiesDropped[r], l.CopiesDropped[r])
		out.CopiesDropped += l.CopiesDropped[r]
	}
	for key, n := range w.now.filter {
		list := &out.FilterReasons
		if key.enforcer == enforcerKernel {
			list = &out.KernelReasons
		}
		*list = reason(*list, w, key.reason, w.from.filter[key], n)
	}
	for _, list := range [][]*weftv1.DropReason{out.Reasons, out.CopyReasons, out.FilterReasons, out.KernelReasons} {
		sortReasons(list)
	}
	return out
}

// reason adds a reason to a list, if there is anything to say.
func reason(list []*weftv1.DropReason, w *span, name string, before, after uint64) []*weftv1.DropReason {
	if after == 0 {
		return list
	}
	return append(list, &weftv1.DropReason{Reason: name, Count: after, Rate: w.rate(before, after)})
}

// sortReasons puts those first that there are most of now, then since the start.
func sortReasons(list []*weftv1.DropReason) {
	slices.SortFunc(list, func(a, b *weftv1.DropReason) int {
		return cmp.Or(cmp.Compare(b.GetRate(), a.GetRate()), cmp.Compare(b.GetCount(), a.GetCount()), cmp.Compare(a.GetReason(), b.GetReason()))
	})
}

// perSecond is a rate as people say it.
func perSecond(rate float64) string {
	switch {
	case rate >= 1e6:
		return fmt.Sprintf("%.1fM/s", rate/1e6)
	case rate >= 1e4:
		return fmt.Sprintf("%.0fk/s", rate/1e3)
	case rate >= 1e3:
		return fmt.Sprintf("%.1fk/s", rate/1e3)
	case rate >= 10 || rate == 0:
		return fmt.Sprintf("%.0f/s", rate)
	}
	return fmt.Sprintf("%.1f/s", rate)
}
