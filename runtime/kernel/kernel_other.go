//go:build !linux

package kernel

import (
	"context"
	"fmt"
	"runtime"

	"github.com/weftrun/weft/runtime/filter"
)

// Kernel is an enforcer of policies in the kernel, on Linux.
type Kernel struct{}

func unavailable() error {
	return fmt.Errorf("%w: it needs Linux, this is %s", ErrUnavailable, runtime.GOOS)
}

// Open returns ErrUnavailable.
func Open(Options) (*Kernel, error) { return nil, unavailable() }

// Detach returns ErrUnavailable.
func Detach(string) error { return unavailable() }

// Left tells that nothing is.
func Left(string) bool { return false }

// Probe finds that this is not Linux.
func Probe(Options) []Finding {
	return []Finding{{Fatal: true, What: unavailable().Error(), Remedy: "leave kernel: out of the configuration; the same rules are enforced in user space"}}
}

// Listeners returns ErrUnavailable.
func (*Kernel) Listeners([]filter.Listener) error { return unavailable() }

// Put returns ErrUnavailable.
func (*Kernel) Put([]filter.Entry) error { return unavailable() }

// Delete returns ErrUnavailable.
func (*Kernel) Delete([]filter.Entry) error { return unavailable() }

// ListenersWith returns ErrUnavailable.
func (*Kernel) ListenersWith([]filter.Listener, []filter.Entry) error { return unavailable() }

// Kept returns ErrUnavailable.
func (*Kernel) Kept() ([]filter.Listener, []filter.Entry, error) { return nil, nil, unavailable() }

// Counts returns ErrUnavailable.
func (*Kernel) Counts(list []filter.Count) ([]filter.Count, error) { return list, unavailable() }

// Status is empty.
func (*Kernel) Status() Status { return Status{} }

// Events returns ErrUnavailable.
func (*Kernel) Events(context.Context, func(Event)) error { return unavailable() }

// Close does nothing.
func (*Kernel) Close() error { return nil }
