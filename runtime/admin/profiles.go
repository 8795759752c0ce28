package admin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const (
	defaultProfile = 10 * time.Second
	maxProfile     = time.Minute
	// mutexFraction and blockRate are which part of the waits is looked at while such a
	// profile is taken: one of so many, and those of about so many nanoseconds.
	mutexFraction = 10
	blockRate     = 10_000
)

// profilesService serves weft.v1.Profiles.
type profilesService struct {
	logger *slog.Logger
	taking atomic.Bool
}

// Take is the call of the same name.
func (s *profilesService) Take(ctx context.Context, r *connect.Request[weftv1.ProfilesTakeRequest]) (*connect.Response[weftv1.ProfilesTakeResponse], error) {
	during := defaultProfile
	if d := r.Msg.GetDuration(); d != nil {
		during = d.AsDuration()
		if d.CheckValid() != nil || during <= 0 || during > maxProfile {
			return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("duration %s: expected more than 0 and at most %s", during, maxProfile))
		}
	}
	if s.taking.Swap(true) {
		return nil, toConnect(ctx, s.logger, fmt.Errorf("%w: another profile is being taken; wait until it is there", ErrBusy))
	}
	defer s.taking.Store(false)
	var b bytes.Buffer
	if err := profile(ctx, &b, r.Msg.GetKind(), during); err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.ProfilesTakeResponse{Profile: b.Bytes()}), nil
}

// profile writes one. One that takes a while ends early, without one, when ctx does.
func profile(ctx context.Context, b *bytes.Buffer, kind weftv1.ProfileKind, during time.Duration) error {
	switch kind {
	case weftv1.ProfileKind_PROFILE_KIND_CPU:
		if err := pprof.StartCPUProfile(b); err != nil {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
		err := pass(ctx, during)
		pprof.StopCPUProfile()
		return err
	case weftv1.ProfileKind_PROFILE_KIND_HEAP:
		return pprof.Lookup("heap").WriteTo(b, 0)
	case weftv1.ProfileKind_PROFILE_KIND_ALLOCS:
		return pprof.Lookup("allocs").WriteTo(b, 0)
	case weftv1.ProfileKind_PROFILE_KIND_GOROUTINE:
		return pprof.Lookup("goroutine").WriteTo(b, 0)
	case weftv1.ProfileKind_PROFILE_KIND_MUTEX:
		before := runtime.SetMutexProfileFraction(mutexFraction)
		defer runtime.SetMutexProfileFraction(before)
		if err := pass(ctx, during); err != nil {
			return err
		}
		return pprof.Lookup("mutex").WriteTo(b, 0)
	case weftv1.ProfileKind_PROFILE_KIND_BLOCK:
		runtime.SetBlockProfileRate(blockRate)
		defer runtime.SetBlockProfileRate(0)
		if err := pass(ctx, during); err != nil {
			return err
		}
		return pprof.Lookup("block").WriteTo(b, 0)
	}
	return fmt.Errorf("%w: kind %d, expected cpu, heap, allocs, goroutine, mutex or block", ErrInvalidMessage, kind)
}

func pass(ctx context.Context, during time.Duration) error {
	timer := time.NewTimer(during)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
