package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins/meter"
)

// instance is one instance of a plugin. It belongs to one goroutine, and after
// an error of any of its calls it is closed, never used again.
type instance struct {
	plugin   *Plugin
	ctx      context.Context // what calls are made with
	module   api.Module
	memory   api.Memory
	backing  *guestMemory
	bufferOf api.Function
	hooks    [abi.HookResume + 1]api.Function // nil: not exported, or not wanted
	needs    abi.Needs
	fuel     api.MutableGlobal  // what is left of the call's budget; nil if unmetered
	depth    api.Global         // how many calls may still nest
	spent    int64              // fuel, by the last call
	grown    int64              // fuel that buffers have taken, until the seat counts it
	async    *hostfuncs.Calls   // nil: it has none
	sources  *hostfuncs.Sources // nil: it has no use for them

	startLeft int64 // fuel for what the start section calls of the host
	given     int   // bytes handed to the call that runs

	pointer, capacity uint32 // the input buffer
	largest           uint32 // the smallest buffer that the guest refused, less one
	comfort           uint32 // what several messages may take together
	stack             [4]uint64
	calls             uint32
}

const bufferMin = 16 << 10

// newInstance makes an instance and configures it (SPEC section 2, steps 1 to
// 4). Everything it took it gives back when it fails.
func newInstance(ctx context.Context, p *Plugin) (in *instance, err error) {
	if p.spec.Grants.WASI != nil {
		ctx = hostfuncs.WithStdio(ctx)
	}
	async := p.host.NewCalls()
	if async != nil {
		ctx = hostfuncs.WithCalls(ctx, async)
	}
	sources := p.host.NewSources()
	if sources != nil {
		ctx = hostfuncs.WithSources(ctx, sources)
	}
	in = &instance{plugin: p, backing: &guestMemory{kept: p.env.kept, limit: uint64(p.spec.pages()) * pageSize}, largest: abi.MaxBuffer, comfort: maxCallBytes,
		async: async, sources: sources, startLeft: startFuel}
	ctx = hostfuncs.WithPurse(ctx, in)
	in.ctx = ctx
	clock := p.env.cfg.Clock
	began := clock.Monotonic()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: instantiating: %v", ErrTrap, r)
		}
		if err != nil {
			in.close()
			in, err = nil, readably(err)
			return
		}
		p.built(time.Duration(clock.Monotonic() - began))
	}()
	in.module, err = p.program.runtime.InstantiateModule(experimental.WithMemoryAllocator(p.functions.With(ctx), in.backing), p.program.code,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return in, in.notStarted(err)
	}
	in.memory = in.module.Memory()
	in.fuel, _ = in.module.ExportedGlobal(meter.ExportFuel).(api.MutableGlobal)
	in.depth = in.module.ExportedGlobal(meter.ExportDepth)
	in.bufferOf = in.module.ExportedFunction(abi.ExportBuffer)
	if err := in.callOptional(abi.ExportInitialize); err != nil {
		return in, err
	}
	if err := in.configure(); err != nil {
		return in, err
	}
	return in, in.readNeeds()
}

// close gives back everything the instance holds. It may be called on an
// instance that was never finished, and more than once.
func (in *instance) close() {
	in.async.Close()
	if in.module != nil {
		// Closing an instance runs nothing of the guest's; it has no files
		// whose closing could fail.
		_ = in.module.Close(context.Background())
		in.module = nil
	}
	in.backing.Free() // wazero frees nothing when instantiating failed half-way
	in.memory, in.bufferOf, in.hooks = nil, nil, [len(in.hooks)]api.Function{}
}

// call calls a function with up to two arguments and so much fuel, and returns its
// result.
func (in *instance) call(f api.Function, name string, a, b uint64, fuel int64) (uint64, error) {
	in.stack[0], in.stack[1] = a, b
	if in.fuel != nil {
		in.fuel.Set(uint64(fuel))
	}
	err := f.CallWithStack(in.ctx, in.stack[:])
	if err != nil {
		return 0, in.trapped(err, name, fuel)
	}
	if in.fuel != nil {
		in.spent = fuel - int64(in.fuel.Get())
	}
	return in.stack[0], nil
}

// trapped says why a call trapped: the meter tells its own reasons from the
// guest's.
func (in *instance) trapped(err error, name string, fuel int64) error {
	if in.fuel == nil {
		return fmt.Errorf("%w: in %s: %w", ErrTrap, name, err)
	}
	cause, left := meter.After(int64(in.fuel.Get()), int64(in.depth.Get()))
	in.spent = min(fuel-left, fuel)
	switch cause {
	case meter.CauseFuel:
		return fmt.Errorf("%w: %w: %s took more than its %d units of fuel, which are %v: does it loop for ever? If not, raise %s: %w",
			ErrTrap, ErrFuel, name, fuel, in.plugin.duration(fuel), budgetKey(name), err)
	case meter.CauseDepth:
		return fmt.Errorf("%w: %w: in %s: more than %d nested calls, or fewer of large functions: %w", ErrTrap, ErrDepth, name, maxDepth, err)
	}
	return fmt.Errorf("%w: in %s: %w", ErrTrap, name, err)
}

// budgetKey is the key of the configuration that bounds a call of the export.
func budgetKey(export string) string {
	if strings.HasPrefix(export, "weft_on_") || export == abi.ExportBuffer {
		return "cpu"
	}
	return "start_cpu"
}

func (in *instance) callOptional(name string) error {
	f := in.module.ExportedFunction(name)
	if f == nil {
		return nil
	}
	_, err := in.call(f, name, 0, 0, in.plugin.stepFuel)
	return err
}

// configure hands the configuration to weft_init.
func (in *instance) configure() error {
	f := in.module.ExportedFunction(abi.ExportInit)
	if f == nil {
		return nil
	}
	config := in.plugin.spec.Config
	if err := in.reserve(uint32(len(config))); err != nil {
		return fmt.Errorf("%w: for a configuration of %s", err, size(int64(len(config))))
	}
	in.memory.Write(in.pointer, config)
	answer, err := in.call(f, abi.ExportInit, uint64(in.pointer), uint64(len(config)), in.plugin.stepFuel)
	if err != nil || answer == 0 {
		return err
	}
	return in.refused(answer, abi.ExportInit, ErrInit)
}

// refused is the error that a guest answered with a packed span of text.
func (in *instance) refused(answer uint64, name string, class error) error {
	text, ok := in.memory.Read(uint32(answer>>32), uint32(answer))
	if !ok || len(text) > abi.MaxError {
		return fmt.Errorf("%w: the error text that %s answered does not lie in its memory or is over %d bytes", ErrFault, name, abi.MaxError)
	}
	return fmt.Errorf("%w: %s", class, printable(text, abi.MaxError))
}

// snapshot is the instance's state, nil if it has none or hands out none: a view of
// its memory until the guest runs again.
func (in *instance) snapshot() ([]byte, error) {
	f := in.module.ExportedFunction(abi.ExportSnapshot)
	if f == nil {
		return nil, nil
	}
	answer, err := in.call(f, abi.ExportSnapshot, 0, 0, in.plugin.stepFuel)
	if err != nil || answer == 0 {
		return nil, err
	}
	state, ok := in.memory.Read(uint32(answer>>32), uint32(answer))
	if !ok || len(state) > abi.MaxSnapshot {
		return nil, fmt.Errorf("%w: the state that %s answered does not lie in its memory or is over %s", ErrFault, abi.ExportSnapshot, size(abi.MaxSnapshot))
	}
	return state, nil
}

// restore hands the state of a former generation to the instance.
func (in *instance) restore(state []byte) error {
	f := in.module.ExportedFunction(abi.ExportRestore)
	if f == nil || len(state) == 0 {
		return nil
	}
	if err := in.reserve(uint32(len(state))); err != nil {
		return fmt.Errorf("%w: for a state of %s", err, size(int64(len(state))))
	}
	in.memory.Write(in.pointer, state)
	answer, err := in.call(f, abi.ExportRestore, uint64(in.pointer), uint64(len(state)), in.plugin.stepFuel)
	if err != nil || answer == 0 {
		return err
	}
	return in.refused(answer, abi.ExportRestore, ErrRestore)
}

// readNeeds asks what the records must hold and looks up the hooks.
func (in *instance) readNeeds() error {
	in.needs = abi.NeedsAll
	if f := in.module.ExportedFunction(abi.ExportNeeds); f != nil {
		answer, err := in.call(f, abi.ExportNeeds, 0, 0, in.plugin.stepFuel)
		if err != nil {
			return err
		}
		in.needs = abi.Needs(answer)
		if unknown := in.needs &^ abi.NeedsAll; unknown != 0 {
			return fmt.Errorf("%w: weft_needs sets unknown bits 0x%x", ErrFault, uint64(unknown))
		}
	}
	for _, h := range in.plugin.program.description.Hooks {
		if in.needs.Hook(h) {
			in.hooks[h] = in.module.ExportedFunction(abi.HookExport(h))
		}
	}
	return nil
}

// reserve makes sure that the input buffer holds size bytes. It answers
// errNoBuffer if the guest has none so large.
func (in *instance) reserve(size uint32) error {
	if size <= in.capacity && in.pointer != 0 {
		return nil
	}
	if size > in.largest {
		return errNoBuffer
	}
	ask := uint32(bufferMin)
	for ask < size {
		ask *= 2
	}
	ask = min(ask, in.largest)
	for {
		answer, err := in.call(in.bufferOf, abi.ExportBuffer, uint64(ask), 0, in.plugin.callFuel)
		in.grown += in.spent
		if err != nil {
			return err
		}
		pointer := uint32(answer)
		if pointer != 0 {
			return in.setBuffer(pointer, ask)
		}
		// The former buffer is gone as well.
		in.pointer, in.capacity = 0, 0
		in.largest = ask - 1
		if ask == size {
			return errNoBuffer
		}
		ask = max(size, ask/2)
	}
}

func (in *instance) setBuffer(pointer, capacity uint32) error {
	if pointer%8 != 0 {
		return fmt.Errorf("%w: weft_buffer answered 0x%x, which is not aligned to 8", ErrFault, pointer)
	}
	if uint64(pointer)+uint64(capacity) > uint64(in.memory.Size()) {
		return fmt.Errorf("%w: weft_buffer(%d) answered 0x%x, and the memory ends at 0x%x", ErrFault, capacity, pointer, in.memory.Size())
	}
	in.pointer, in.capacity = pointer, capacity
	return nil
}

// view is the guest's whole memory until the guest runs again.
func (in *instance) view() []byte {
	b, _ := in.memory.Read(0, in.memory.Size())
	return b
}

// causeOf is the cause that an error of a call stands for.
func causeOf(err error) Cause {
	switch {
	case errors.Is(err, ErrFault):
		return CauseFault
	case errors.Is(err, ErrFuel):
		return CauseFuel
	case errors.Is(err, ErrDepth):
		return CauseDepth
	}
	return CauseTrap
}
