package main

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// pace is how fast something went, in microseconds.
type pace struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

func newPace() *pace {
	return &pace{histogram: hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)}
}

// acknowledged counts an answer, from any goroutine.
func (p *pace) acknowledged(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.histogram.RecordValue(min(d.Microseconds(), p.histogram.HighestTrackableValue())) // it fits
}

// quantile is in milliseconds.
func (p *pace) quantile(q float64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(p.histogram.ValueAtQuantile(q)) / 1000
}

// count is how many there were.
func (p *pace) count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.histogram.TotalCount()
}

// times are how long the same thing took, again and again.
type times []time.Duration

// median, least and most are in milliseconds.
func (t times) median() float64 {
	if len(t) == 0 {
		return 0
	}
	return milliseconds(slices.Sorted(slices.Values(t))[len(t)/2])
}

func (t times) least() float64 {
	if len(t) == 0 {
		return 0
	}
	return milliseconds(slices.Min(t))
}

func (t times) most() float64 {
	if len(t) == 0 {
		return 0
	}
	return milliseconds(slices.Max(t))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
