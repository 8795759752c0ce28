package main

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// result is a line of the table: bytes a subscription, microseconds a change,
// nanoseconds a match.
type result struct {
	bytes                    int64
	add, remove, comeAndGo   float64
	few, all, beside, allocs float64
}

// chunk is how many patterns are made ahead, untimed; a tree that keeps their text
// pays for it.
const chunk = 10_000

func measure(c candidate, n int, each time.Duration) result {
	var r result
	total := n + len(watchers)
	before := heap()
	t := c.make()
	r.add = change(total, func(i int) string { return c.spelt(pattern(i, n)) }, t.add)
	r.bytes = (heap() - before) / int64(total)
	if s, ok := t.(*sublist); ok {
		r.bytes -= int64(len(s.subscriptions)) * 24 * 2 / int64(total) // about what the map of them takes
	}

	random := rand.New(rand.NewPCG(1, 2))
	topics := make([][]byte, 1<<17)
	for i := range topics {
		topics[i] = []byte(c.spelt(topic(random.IntN(devices(n)))))
	}
	matches := func(topics [][]byte) float64 {
		i := 0
		return best(each, func() {
			t.match(topics[i])
			if i++; i == len(topics) {
				i = 0
			}
		})
	}
	r.few, r.all = matches(topics[:1000]), matches(topics)
	i := 0
	r.allocs = testing.AllocsPerRun(1000, func() { t.match(topics[i]); i = (i + 1) % 1000 })

	clients := make([]string, 4096)
	for i := range clients {
		clients[i] = c.spelt(own(devices(n) + i))
	}
	i = 0
	comeAndGo := func() {
		t.add(total+i%len(clients), clients[i%len(clients)])
		t.remove(total+i%len(clients), clients[i%len(clients)])
		i++
	}
	r.comeAndGo = best(each, comeAndGo) / 1000
	r.beside = beside(comeAndGo, func() float64 { return matches(topics[:1000]) })
	r.remove = change(total, func(i int) string { return c.spelt(pattern(i, n)) }, t.remove)
	runtime.KeepAlive(t)
	return r
}

// change adds or removes everything and answers how many microseconds one took: the
// median of the chunks.
func change(total int, text func(int) string, do func(int, string)) float64 {
	var took []float64
	texts := make([]string, 0, chunk)
	for at := 0; at < total; at += chunk {
		texts = texts[:0]
		for i := at; i < min(at+chunk, total); i++ {
			texts = append(texts, text(i))
		}
		start := time.Now()
		for i := range texts {
			do(at+i, texts[i])
		}
		took = append(took, float64(time.Since(start).Nanoseconds())/1000/float64(len(texts)))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// slice is short enough to pass undisturbed on a machine that does other things too.
const slice = 3 * time.Millisecond

// best is the mean of the best slice, in nanoseconds.
func best(each time.Duration, do func()) float64 {
	shortest := math.Inf(1)
	for begun := time.Now(); time.Since(begun) < each; {
		n, start := 0, time.Now()
		for time.Since(start) < slice {
			for range 100 {
				do()
			}
			n += 100
		}
		shortest = min(shortest, float64(time.Since(start).Nanoseconds())/float64(n))
	}
	return shortest
}

// beside measures while clients come and go without a pause on another core.
func beside(comeAndGo func(), of func() float64) float64 {
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stop.Load() {
			comeAndGo()
		}
	})
	took := of()
	stop.Store(true)
	writer.Wait()
	return took
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
