package server

import (
	"context"
	"maps"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/latency"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/filter"
)

// sample is everything that the overview is made of, as of one moment. Two of them make a
// snapshot. It is not changed once it is made.
type sample struct {
	at       time.Time
	ledger   delivery.Ledger
	engine   engine.Stats
	flowed   flowed
	messages []uint64 // by listener
	way      latency.Counts
	plugins  map[string]*pluginSample
	pools    []*weftv1.UpstreamPool
	logs     []logSample
	letters  uint64 // dead letters that are kept
	filter   map[filterKey]uint64
	memory   uint64
	limit    uint64 // of memory; 0: none
	config   admin.ConfigStatus
	backbone *backboneSample
}

// pluginSample is a plugin's generations.
type pluginSample struct {
	state     weftv1.PluginState
	weight    uint32
	live      generationSample
	candidate *generationSample
	places    []string
	callLimit time.Duration
	callFuel  int64
	last      event
}

// generationSample is one generation.
type generationSample struct {
	number uint64
	stats  plugins.Stats
	places []plugins.PlaceStats
	drift  plugins.Drift
	shadow bool
}

// logSample is the log of a durable route.
type logSample struct {
	route       string
	bytes, size uint64
	records     uint64
	most        uint64 // of records; 0: no bound
	refused     uint64
	away        bool
}

type filterKey struct {
	enforcer, reason string
}

type backboneSample struct {
	connected bool
	fault     string
	fsync     time.Duration
	free      int64
}

// sample takes one. It may take as long as a log takes to answer.
func (s *Server) sample() *sample {
	now := &sample{
		ledger: s.Ledger(), engine: s.engine.Stats(), flowed: s.flowed(), way: s.way(), plugins: map[string]*pluginSample{},
		pools: s.pools.List(), config: s.ConfigStatus(), filter: map[filterKey]uint64{},
	}
	for i := range now.engine.Listeners {
		now.messages = append(now.messages, s.listenerCounts(i).messages)
	}
	s.rollouts.sample(now.plugins)
	now.logs = s.durable.sample(s.ctx)
	if s.keeper.store != nil {
		now.letters = uint64(s.keeper.store.Stats().Count)
	}
	for _, by := range s.fastPath.counts() {
		for i := range by.counts {
			for why := filter.Pass + 1; why < filter.Reasons; why++ {
				if n := by.counts[i].Packets[why]; n > 0 {
					now.filter[filterKey{by.enforcer, why.String()}] += n
				}
			}
		}
	}
	if s.backbone != nil {
		b := s.backbone.Snapshot()
		now.backbone = &backboneSample{connected: b.State.Connected, fault: b.State.Fault, fsync: b.Disk.P99, free: b.Free}
	}
	now.memory, now.limit = memory()
	now.at = time.Now()
	return now
}

// memory is what the Go runtime has from the system, and what it is limited to; 0 for no
// limit.
func memory() (used, limit uint64) {
	read := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(read)
	used = read[0].Value.Uint64() - read[1].Value.Uint64()
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 {
		limit = uint64(n)
	}
	return used, limit
}

func goroutines() uint64 { return uint64(runtime.NumGoroutine()) }

// sample takes those of the plugins.
func (r *rollouts) sample(into map[string]*pluginSample) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for name, g := range r.all() {
		live := g.live.members[0]
		p := &pluginSample{
			state: g.state(), live: sampleGeneration(g.live), places: g.places, last: g.last,
			callLimit: r.server.plugins.env.CallBudget(), callFuel: live.CallFuel(),
		}
		if g.trial != nil {
			p.weight = uint32(g.trial.weight)
		}
		if g.candidate != nil {
			c := sampleGeneration(g.candidate)
			p.candidate = &c
		}
		into[name] = p
	}
}

func sampleGeneration(g *generation) generationSample {
	out := generationSample{number: g.number, stats: g.stats(), shadow: g.shadow}
	for _, p := range g.members {
		out.places = append(out.places, p.Places()...)
	}
	if g.shadow {
		out.drift = g.drift()
		out.drift.Samples = nil
	}
	return out
}

// at is what the generation did at one place of a chain.
func (g *generationSample) at(chain, index int) *plugins.PlaceStats {
	for i := range g.places {
		if g.places[i].Chain == chain && g.places[i].Index == index {
			return &g.places[i]
		}
	}
	return nil
}

// sample takes those of the logs.
func (d *durables) sample(ctx context.Context) []logSample {
	if d == nil {
		return nil
	}
	var list []logSample
	for _, r := range d.list {
		one := logSample{route: r.name, size: uint64(r.Size), most: uint64(r.Messages), refused: r.counts.full.Load() + r.counts.away.Load()}
		limited, cancel := context.WithTimeout(ctx, infoWithin)
		info, err := r.log.Info(limited)
		cancel()
		if one.away = err != nil; !one.away {
			one.bytes, one.records = info.Bytes, info.Records
		}
		list = append(list, one)
	}
	return list
}

// share is how full the log is, 0 to 1.
func (l *logSample) share() float64 {
	full := 0.0
	if l.size > 0 {
		full = float64(l.bytes) / float64(l.size)
	}
	if l.most > 0 {
		full = max(full, float64(l.records)/float64(l.most))
	}
	return full
}

// filtered is how many packets were dropped before they were anything else.
func (s *sample) filtered() uint64 {
	var sum uint64
	for n := range maps.Values(s.filter) {
		sum += n
	}
	return sum
}
