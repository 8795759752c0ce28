package main

import (
	"context"
	_ "embed" // the guest with a state
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/program"
)

//go:embed stateful/stateful.wasm
var stateful []byte

// soak runs rounds with and without swaps in turn until there were enough swaps.
func soak(ctx context.Context, o options, words io.Writer) (r *result, err error) {
	dir, err := os.MkdirTemp("", "weft-soak-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &soaking{options: o, words: words, result: &result{options: o}}
	if s.base, err = base(o.mode); err != nil {
		return nil, err
	}
	module := filepath.Join(dir, "subject.wasm")
	if err := os.WriteFile(module, s.generation(), 0o600); err != nil {
		return nil, err
	}
	if s.weft, err = start(ctx, o, dir, module); err != nil {
		return nil, err
	}
	defer func() {
		if stopped := s.weft.Stop(); err != nil || stopped != nil {
			err = errors.Join(err, stopped, fmt.Errorf("weft's last words:\n%s", s.weft.Tail()))
		}
	}()
	for err == nil && s.result.swaps < o.swaps {
		if !o.quick {
			err = s.round(ctx, false)
		}
		if err == nil {
			err = s.round(ctx, true)
		}
	}
	return s.result, err
}

// base is the module that every generation has in common.
func base(mode string) ([]byte, error) {
	if mode == "state" {
		return stateful, nil
	}
	return std.Open("topic-router")
}

// soaking is a run.
type soaking struct {
	options
	words  io.Writer
	weft   *weft
	base   []byte
	made   int
	read   int // configurations that were written
	result *result
}

// generation is the module with a section of its own behind it: the same code, and
// another module.
func (s *soaking) generation() []byte {
	s.made++
	const name = "soak"
	section := append([]byte{0, byte(1 + len(name) + 4), byte(len(name))}, name...)
	version := s.made
	if s.versions > 0 {
		version %= s.versions
	}
	section = binary.LittleEndian.AppendUint32(section, uint32(version))
	return append(append([]byte(nil), s.base...), section...)
}

// round drives the load for a while, and swaps the plugin all the while if asked to.
func (s *soaking) round(ctx context.Context, swapping bool) error {
	format, ok := frame.Preset("mcp-seq")
	if !ok {
		return errors.New("weft has no preset mcp-seq")
	}
	config := load.Config{
		Address:  s.weft.address,
		Protocol: &load.Frames{Codec: format, Hello: load.TokenHello([]byte(tokenKey), time.Hour), AwaitHello: true},
		Mode:     load.Open, Rate: s.rate, Publishers: s.publishers, Subscribers: 1, Streams: s.publishers, Topics: []string{"bench"},
		Payload: load.Payload{Size: 128}, Warmup: 500 * time.Millisecond, Duration: s.options.round, Drain: 2 * time.Second, Timeout: time.Minute, ServerPID: s.weft.PID(),
	}
	if s.quick { // the next message is sent when another has come: a slow machine makes it slower, and nothing else
		config.Mode, config.Rate, config.Window, config.Drain = load.Closed, 0, 20*s.publishers, time.Minute
	}
	var stop atomic.Bool
	swapped := make(chan error, 1)
	if swapping {
		go func() { swapped <- s.swapUntil(ctx, &stop) }()
	} else {
		swapped <- nil
	}
	result, err := load.Run(ctx, config)
	stop.Store(true)
	if err = errors.Join(err, <-swapped); err != nil {
		return err
	}
	s.result.add(result, swapping)
	about := "without swaps"
	if swapping {
		about = fmt.Sprintf("%d swaps so far", s.result.swaps)
	}
	program.Say(s.words, "%-18s %8.0f msg/s, p50 %v, p99 %v, max %v, server CPU %.2f us, wrong %d", about, result.Measured.Rate, time.Duration(result.Latency.P50),
		time.Duration(result.Latency.P99), time.Duration(result.Latency.Max), result.Server.PerMessage, wrong(result.Counts))
	return nil
}

// swapUntil brings one generation after another until the round is over, or there
// were enough.
func (s *soaking) swapUntil(ctx context.Context, stop *atomic.Bool) error {
	for !stop.Load() && s.result.swaps < s.swaps {
		begun := time.Now()
		if err := s.swap(ctx); err != nil {
			return fmt.Errorf("swap %d: %w", s.result.swaps+1, err)
		}
		s.result.took = append(s.result.took, time.Since(begun))
		if s.result.swaps++; s.result.swaps == earlySwaps {
			memory, err := load.ProcessMemory(s.weft.PID())
			if err != nil {
				return err
			}
			s.result.early = memory
		}
		time.Sleep(s.pause)
	}
	memory, err := load.ProcessMemory(s.weft.PID())
	s.result.late = memory
	return err
}

func (s *soaking) swap(ctx context.Context) error {
	if s.mode == reloadMode {
		return s.reload(ctx)
	}
	request := &weftv1.PluginsSwapRequest{Name: subject, Wasm: s.generation(), Mode: weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE}
	if s.mode == "canary" {
		request.Mode, request.Weight, request.Manual = weftv1.RolloutMode_ROLLOUT_MODE_CANARY, 10, true
	}
	if _, err := s.weft.plugins.Swap(ctx, connect.NewRequest(request)); err != nil {
		return err
	}
	if s.mode != "canary" {
		return nil
	}
	_, err := s.weft.plugins.Promote(ctx, connect.NewRequest(&weftv1.PluginsPromoteRequest{Name: subject}))
	return err
}
