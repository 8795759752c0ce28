package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/filter"
	"github.com/weftrun/weft/runtime/kernel"
)

// fastPath decides which sources may speak to which listener. The book has the rules, the
// table enforces them in every loop, and the kernel, where the configuration asks for it
// and it can, enforces the same before a byte reaches this process.
type fastPath struct {
	log     *slog.Logger
	running *config.Config // with the filters that hold
	cfg     *config.Kernel // nil: the kernel is not asked
	book    *filter.Book
	table   *filter.Table
	cutoff  *cutoff
	top     filter.Top
	kernel  *kernel.Kernel                    // nil: it is not asked, or cannot
	problem string                            // why it cannot
	names   atomic.Pointer[map[uint16]string] // of the listeners, by index
	indices []int                             // of those of running
	addrs   map[int]netip.AddrPort            // by index

	covered atomic.Pointer[coverage] // datagrams that the kernel has looked at
	refused atomic.Pointer[string]
	done    sync.WaitGroup
}

// lookEvery is how often samples are taken, and interfaces looked for.
const lookEvery = time.Second

// newFastPath makes the book and the table. From then on the configuration's rules hold.
func newFastPath(cfg *config.Config, log *slog.Logger) (*fastPath, error) {
	f := &fastPath{log: log, running: cfg, cfg: cfg.Kernel}
	entries, options := config.DefaultEntries, filter.TableOptions{}
	if k := cfg.Kernel; k != nil {
		entries, options = k.Entries, filter.TableOptions{Sources: k.Sources, Behind: true}
	}
	f.book, f.table = filter.NewBook(filter.BookOptions{Entries: entries}), filter.NewTable(options)
	f.covered.Store(&coverage{})
	f.indices = make([]int, len(cfg.Listeners))
	for i := range f.indices {
		f.indices[i] = i
	}
	if err := f.configure(cfg, f.indices, nil); err != nil {
		return nil, err
	}
	f.cutoff = newCutoff()
	return f, errors.Join(f.book.Attach(f.table), f.book.Attach(f.cutoff)) // the table first: it has what the other looks for
}

// configure puts a configuration's filters into effect, or nothing.
func (f *fastPath) configure(cfg *config.Config, indices []int, addrs map[int]netip.AddrPort) error {
	listeners, rules, err := filterListeners(cfg, indices, addrs)
	if err != nil {
		return err
	}
	if err := f.book.Configure(listeners, rules); err != nil {
		return err
	}
	f.running, f.indices, f.addrs = cfg, indices, addrs
	names := map[uint16]string{}
	if former := f.names.Load(); former != nil {
		maps.Copy(names, *former) // what is counted of those that are gone is still shown
	}
	for _, l := range listeners {
		names[l.ID] = l.Name
	}
	f.names.Store(&names)
	return nil
}

// reload puts the filters of another configuration into effect, in the kernel too. undo
// goes back to those before. Where nothing about them differs, nothing is done.
func (f *fastPath) reload(to *config.Config, indices []int, addrs []net.Addr) (undo func(), err error) {
	running, former, at := f.running, f.indices, f.addrs
	next, err := addrPorts(addrs)
	if err != nil {
		return nil, err
	}
	if err := f.configure(to, indices, next); err != nil {
		return nil, err
	}
	f.push()
	return func() {
		if err := f.configure(running, former, at); err != nil {
			f.log.Error("the former filters were not put back", "error", err)
		}
		f.push()
	}, nil
}

// addrPorts are addresses by index; nil ones are not there.
func addrPorts(addrs []net.Addr) (map[int]netip.AddrPort, error) {
	list := map[int]netip.AddrPort{}
	for i, a := range addrs {
		if a == nil {
			continue
		}
		at, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return nil, fmt.Errorf("listener address %s: %w", a, err)
		}
		list[i] = at
	}
	return list, nil
}

// CheckFilters tells what of the filters cannot be put into effect, and what keeps the
// kernel from enforcing them; fatal where it would not at all.
func CheckFilters(cfg *config.Config) (findings []kernel.Finding, err error) {
	f, err := newFastPath(cfg, slog.New(slog.DiscardHandler))
	if err != nil || f.cfg == nil {
		return nil, err
	}
	return kernel.Probe(f.options()), nil
}

func (f *fastPath) options() kernel.Options {
	return kernel.Options{
		Interfaces: f.cfg.Interfaces, Mode: f.cfg.Mode, Pin: f.cfg.Pin, Sources: f.cfg.Sources,
		// While a configuration changes the old entries and the new ones are there.
		Entries: min(2*f.cfg.Entries, kernel.MaxEntries), Stats: f.cfg.Statistics, Logger: f.log,
	}
}

// open asks the kernel, now that it is known where the listeners are. If it cannot, that
// is logged, and everything goes on without it.
func (f *fastPath) open(cfg *config.Config, addrs []net.Addr) error {
	at, err := addrPorts(addrs)
	if err != nil {
		return err
	}
	if err := f.configure(cfg, f.indices, at); err != nil || f.cfg == nil {
		f.warnOfLeft(kernel.DefaultPin)
		return err
	}
	k, err := kernel.Open(f.options())
	if err == nil {
		var restored int
		if restored, err = f.book.FollowKeeper(k); err == nil {
			f.kernel = k
			err = f.book.Push()
		}
		if restored > 0 {
			f.log.Info("blocks of before the last start go on", "rules", restored)
		}
	}
	if err != nil {
		if k != nil {
			err = errors.Join(err, k.Close())
		}
		f.kernel, f.problem = nil, err.Error()
		f.log.Warn("the kernel does not enforce the filters; weft does it alone", "error", err, "see", "weft check")
		f.warnOfLeft(f.cfg.Pin)
		return nil
	}
	f.look()
	f.logInterfaces()
	return nil
}

// warnOfLeft says that the kernel goes on with rules that this process cannot change.
func (f *fastPath) warnOfLeft(pin string) {
	if pin != "" && kernel.Left(pin) {
		f.log.Warn("the kernel still enforces the filters of an earlier weft, which this one does not change", "pin", pin, "to end it", "weft fastpath detach --pin "+pin)
	}
}

// logInterfaces says once where the kernel enforces.
func (f *fastPath) logInterfaces() {
	for _, a := range f.kernel.Status().Interfaces {
		switch a.Mode {
		case "":
			f.log.Warn("the kernel does not enforce the filters on an interface; weft does it there", "interface", a.Interface, "problem", a.Problem)
		default:
			f.log.Info("the kernel enforces the filters", "interface", a.Interface, "mode", a.Mode, "problem", a.Problem)
		}
	}
}

// start runs what ends rules, tells the kernel of changes, and takes samples. The
// function that it returns ends that.
func (f *fastPath) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	f.done.Go(func() { f.keep(ctx) })
	if f.kernel != nil {
		f.done.Go(func() {
			if err := f.kernel.Events(ctx, f.event); err != nil && ctx.Err() == nil {
				f.log.Warn("the kernel's samples of drops are not seen any more", "error", err)
			}
		})
	}
	return func() { cancel(); f.done.Wait() }
}

func (f *fastPath) keep(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	var samples []filter.Sample
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.book.Changed():
			f.push()
		case <-timer.C:
			f.look()
		}
		for _, s := range f.table.Samples(samples[:0]) {
			f.top.Add(filter.Event{Sample: s, Enforcer: enforcerEngine})
		}
		wait := lookEvery
		if next := f.book.Tick(time.Now()); !next.IsZero() {
			wait = min(wait, max(0, time.Until(next)))
		}
		timer.Reset(wait)
	}
}

// push tells the kernel what has changed. If it refuses, weft enforces alone what is
// missing there, and tries again with the next change.
func (f *fastPath) push() {
	err := f.book.Push()
	if err != nil { // it may have an old rate, or other first bytes
		f.covered.Store(&coverage{})
	}
	switch was := f.refused.Load(); {
	case err == nil:
		f.refused.Store(nil)
	case was == nil || *was != err.Error():
		text := err.Error()
		f.refused.Store(&text)
		f.log.Warn("the kernel does not take changes of the filters; weft enforces them alone", "error", err)
	}
}

// look finds the interfaces of whose datagrams the kernel has looked at each: those where
// it sees them before any are put together, and those above them.
func (f *fastPath) look() {
	if f.kernel == nil {
		return
	}
	if f.refused.Load() != nil {
		if f.push(); f.refused.Load() != nil {
			return
		}
	}
	var names []string
	for _, a := range f.kernel.Status().Interfaces {
		if a.Whole {
			names = append(names, a.Interface)
		}
	}
	f.covered.Store(newCoverage(names))
}

func (f *fastPath) event(e kernel.Event) {
	f.top.Add(filter.Event{
		Sample:   filter.Sample{Listener: e.Listener, Source: e.Source.Addr().Unmap(), Reason: e.Reason, At: time.Now(), Weight: int(e.Weight)},
		Enforcer: enforcerKernel,
	})
}

// close lets go of the kernel. What is kept goes on there.
func (f *fastPath) close() error {
	if f.kernel == nil {
		return nil
	}
	err := f.kernel.Close()
	if !f.cfg.Keep && f.cfg.Pin != "" {
		if gone := kernel.Detach(f.cfg.Pin); !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// name is a listener's; its number if it has none.
func (f *fastPath) name(id uint16) string {
	if name, ok := (*f.names.Load())[id]; ok {
		return name
	}
	return fmt.Sprint(id)
}

// gate is the table as one loop uses it.
type gate struct {
	lane    *filter.Lane
	covered *atomic.Pointer[coverage]
}

func (f *fastPath) gate() gate { return gate{f.table.Lane(), &f.covered} }

// connection tells whether a connection is let in.
func (g *gate) connection(listener int, source netip.Addr, now time.Time) bool {
	return g.lane.Connect(uint16(listener), source, now.UnixNano()) == filter.Pass
}

// datagram tells whether a datagram is let in. The kernel has looked at the first bytes
// and the rate of those that came by an interface of its own.
func (g *gate) datagram(listener int, source netip.Addr, link int, b []byte, now time.Time) bool {
	covered := g.covered.Load().has(link, source)
	return g.lane.Datagram(uint16(listener), source, b, covered, now.UnixNano()) == filter.Pass
}

// Connection implements engine.Gatekeeper.
func (p *path) Connection(listener int, source netip.Addr, now time.Time) bool {
	return p.gate.connection(listener, source, now)
}

// Datagram implements engine.Gatekeeper.
func (p *path) Datagram(listener int, source netip.Addr, link int, b []byte, now time.Time) bool {
	return p.gate.datagram(listener, source, link, b, now)
}

var _ engine.Gatekeeper = (*path)(nil)
