package kernel

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/filter"
)

// watchEvery is how often the interfaces are looked at.
const watchEvery = 2 * time.Second

// Kernel is an enforcer of policies in the kernel. Its methods may be called by
// several goroutines; they make system calls and wait for each other.
type Kernel struct {
	options Options
	log     *slog.Logger

	mu         sync.Mutex
	lock       io.Closer // on the pin folder: two processes would undo each other's rules
	objects    *weftObjects
	stats      io.Closer // while it is open, the kernel measures
	interfaces []*hook
	names      ids
	rules      ruleBook
	state      weftState // as the programs have it
	closed     bool

	stop chan struct{}
	done sync.WaitGroup
}

var _ filter.Keeper = (*Kernel)(nil)

// Open loads the programs and attaches them to every interface; it fails if none can
// be attached. With Options.Pin it takes over what an earlier process left there,
// rules and counters included, and replaces its programs in place: no packet meets an
// interface without a program meanwhile, and none a policy without its rules. Until
// Listeners is called, what the earlier process had is enforced; if there was none,
// nothing is.
//
// The caller calls Close.
func Open(options Options) (*Kernel, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	k := &Kernel{options: options, log: options.Logger, stop: make(chan struct{})}
	k.rules.start()
	if err := k.open(); err != nil {
		_ = k.release()
		return nil, err
	}
	k.done.Go(k.watch)
	return k, nil
}

func (k *Kernel) open() error {
	if err := capable(); err != nil { // without them a folder for the rules is no use
		return err
	}
	if k.options.Pin != "" {
		if err := prepareFolder(k.options.Pin); err != nil {
			return err
		}
		lock, err := lockFolder(k.options.Pin)
		if err != nil {
			return err
		}
		k.lock = lock
	}
	replaced, err := k.load()
	defer func() {
		for _, old := range replaced {
			_ = old.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := k.recall(); err != nil {
		return err
	}
	if err := k.attachAll(); err != nil {
		return err
	}
	if err := k.settle(replaced); err != nil {
		return err
	}
	if k.options.Stats {
		if k.stats, err = ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME)); err != nil {
			k.log.Warn("the kernel does not measure what the filter costs", "error", err)
		}
	}
	return nil
}

// complete checks the options and fills in what was left out.
func (o *Options) complete() error {
	if len(o.Interfaces) == 0 {
		return errors.New("kernel: no interface: name at least one")
	}
	switch o.Mode {
	case "":
		o.Mode = Auto
	case Auto, Native, Generic, TC:
	default:
		return fmt.Errorf("kernel: unknown mode %q: it is %s, %s, %s or %s", o.Mode, Auto, Native, Generic, TC)
	}
	if o.Sources == 0 {
		o.Sources = DefaultSources
	}
	if o.Entries == 0 {
		o.Entries = DefaultEntries
	}
	if o.Sources < 1 || o.Sources > MaxSources {
		return fmt.Errorf("kernel: %d sources: 1 to %d", o.Sources, MaxSources)
	}
	if o.Entries < 1 || o.Entries > MaxEntries {
		return fmt.Errorf("kernel: %d entries: 1 to %d", o.Entries, MaxEntries)
	}
	if o.Pin != "" && !filepath.IsAbs(o.Pin) {
		return fmt.Errorf("kernel: the pin folder %s is not an absolute path", o.Pin)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Close ends the process's part. What is pinned stays: the programs go on enforcing
// the rules and counting. Without Options.Pin the programs are detached. Closing
// again does nothing.
func (k *Kernel) Close() error {
	k.mu.Lock()
	closed := k.closed
	k.closed = true
	k.mu.Unlock()
	if closed {
		return nil
	}
	close(k.stop)
	k.done.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.release()
}

// release closes the descriptors. A link that is not pinned ends with its own.
func (k *Kernel) release() error {
	var problems []error
	for _, hook := range k.interfaces {
		problems = append(problems, hook.close())
	}
	if k.stats != nil {
		problems = append(problems, k.stats.Close())
	}
	if k.objects != nil {
		problems = append(problems, k.objects.Close())
	}
	if k.lock != nil {
		problems = append(problems, k.lock.Close())
	}
	return errors.Join(problems...)
}

// errClosed is what a closed Kernel answers.
var errClosed = errors.New("kernel: closed")

// Status tells how things stand.
func (k *Kernel) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	status := Status{
		Pin:          k.options.Pin,
		Listeners:    k.names.count(),
		Entries:      k.rules.total(),
		EntriesLimit: k.options.Entries,
		SourcesLimit: k.options.Sources,
	}
	for _, hook := range k.interfaces {
		status.Interfaces = append(status.Interfaces, hook.Attachment)
	}
	if k.stats != nil && !k.closed {
		status.Packets, status.Cost = k.cost()
	}
	return status
}

// cost is how often the programs ran, and for how long each time.
func (k *Kernel) cost() (uint64, time.Duration) {
	var runs uint64
	var all time.Duration
	for _, program := range []*ebpf.Program{k.objects.WeftXdp, k.objects.WeftTcx, k.objects.WeftTcxIp} {
		if program == nil {
			continue
		}
		if stats, err := program.Stats(); err == nil {
			runs += stats.RunCount
			all += stats.Runtime
		}
	}
	if runs == 0 {
		return 0, 0
	}
	return runs, all / time.Duration(runs)
}
