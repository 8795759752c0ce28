package hostfuncs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// WASIModule is the module name of WASI preview 1.
const WASIModule = "wasi_snapshot_preview1"

// ErrExit is wrapped by the trap of a guest that called proc_exit.
var ErrExit = errors.New("the guest ended itself")

// The errno values of WASI preview 1 that are answered here.
const (
	wasiOK     = 0
	wasiBadFD  = 8
	wasiFault  = 21
	wasiInval  = 28
	wasiNoSys  = 52
	wasiPollIn = 4096 // events of one poll_oneoff
)

// wasiLine bounds what one open line of standard output keeps.
const wasiLine = abi.MaxLog

// wasiFuncs is a closed WASI: no file, no argument, no variable, no socket.
// Standard output and error go to the plugin's log if log is granted. Time is
// real if clock is granted, else a counter that starts at zero; waiting never
// waits, the guest's clock leaps ahead instead. All other functions answer that
// they do not exist.
type wasiFuncs struct {
	log    *logFuncs
	clock  *clockFuncs
	random *randomFuncs
	leap   atomic.Int64 // nanoseconds that the guests' clock runs ahead
}

func newWASIFuncs(log *logFuncs, clock *clockFuncs, random *randomFuncs) *wasiFuncs {
	return &wasiFuncs{log: log, clock: clock, random: random}
}

type stdioKey struct{}

// stdio is the open lines of one instance's standard output and error.
type stdio struct{ lines [2][]byte }

// WithStdio gives the calls made with the context lines of output of their own.
// An instance of a guest with WASI needs one, or its output is cut at every
// write.
func WithStdio(ctx context.Context) context.Context {
	return context.WithValue(ctx, stdioKey{}, &stdio{})
}

// wasiSignature reads a signature such as "iIi:i": i for i32, I for i64.
func wasiSignature(text string) abi.Signature {
	var s abi.Signature
	types := &s.Params
	for _, c := range text {
		switch c {
		case 'i':
			*types = append(*types, abi.I32)
		case 'I':
			*types = append(*types, abi.I64)
		case ':':
			types = &s.Results
		}
	}
	return s
}

// wasiSignatures is every function of WASI preview 1.
func wasiSignatures() map[string]string {
	return map[string]string{
		"args_get": "ii:i", "args_sizes_get": "ii:i", "environ_get": "ii:i", "environ_sizes_get": "ii:i",
		"clock_res_get": "ii:i", "clock_time_get": "iIi:i",
		"fd_advise": "iIIi:i", "fd_allocate": "iII:i", "fd_close": "i:i", "fd_datasync": "i:i",
		"fd_fdstat_get": "ii:i", "fd_fdstat_set_flags": "ii:i", "fd_fdstat_set_rights": "iII:i",
		"fd_filestat_get": "ii:i", "fd_filestat_set_size": "iI:i", "fd_filestat_set_times": "iIIi:i",
		"fd_pread": "iiiIi:i", "fd_prestat_get": "ii:i", "fd_prestat_dir_name": "iii:i", "fd_pwrite": "iiiIi:i",
		"fd_read": "iiii:i", "fd_readdir": "iiiIi:i", "fd_renumber": "ii:i", "fd_seek": "iIii:i", "fd_sync": "i:i",
		"fd_tell": "ii:i", "fd_write": "iiii:i",
		"path_create_directory": "iii:i", "path_filestat_get": "iiiii:i", "path_filestat_set_times": "iiiiIIi:i",
		"path_link": "iiiiiii:i", "path_open": "iiiiiIIii:i", "path_readlink": "iiiiii:i", "path_remove_directory": "iii:i",
		"path_rename": "iiiiii:i", "path_symlink": "iiiii:i", "path_unlink_file": "iii:i",
		"poll_oneoff": "iiii:i", "proc_exit": "i:", "proc_raise": "i:i", "sched_yield": ":i", "random_get": "ii:i",
		"sock_accept": "iii:i", "sock_recv": "iiiiii:i", "sock_send": "iiiii:i", "sock_shutdown": "ii:i",
	}
}

// WASISignature is the signature of the WASI function of that name; ok is false
// if preview 1 has none.
func WASISignature(name string) (sig abi.Signature, ok bool) {
	text, ok := wasiSignatures()[name]
	return wasiSignature(text), ok
}

func (f *wasiFuncs) register(r *registrar) {
	own := map[string]func(ctx context.Context, m api.Module, stack []uint64) uint64{
		"args_get": wasiNothing, "args_sizes_get": wasiZeroes, "environ_get": wasiNothing, "environ_sizes_get": wasiZeroes,
		"sched_yield": wasiNothing, "clock_time_get": f.clockTime, "clock_res_get": f.clockResolution,
		"random_get": f.randomGet, "fd_write": f.write, "fd_fdstat_get": f.fdstat, "poll_oneoff": f.poll,
		"proc_exit": wasiExit, "fd_prestat_get": wasiNoFile, "fd_prestat_dir_name": wasiNoFile, "fd_close": wasiNoFile,
		"fd_read": wasiNoFile, "fd_fdstat_set_flags": wasiNoFile, "fd_filestat_get": wasiNoFile, "fd_seek": wasiNoFile,
	}
	for name, text := range wasiSignatures() {
		fn, results := own[name], len(wasiSignature(text).Results)
		r.export(name, wasiSignature(text), func(ctx context.Context, m api.Module, stack []uint64) {
			errno := uint64(wasiNoSys)
			if fn != nil {
				errno = fn(ctx, m, stack)
			}
			if results > 0 {
				stack[0] = errno
			}
		})
	}
}

func wasiNothing(context.Context, api.Module, []uint64) uint64 { return wasiOK }
func wasiNoFile(context.Context, api.Module, []uint64) uint64  { return wasiBadFD }

// wasiExit ends the guest's call. The instance is discarded like after any trap.
func wasiExit(_ context.Context, _ api.Module, stack []uint64) uint64 {
	panic(fmt.Errorf("%w: proc_exit(%d)", ErrExit, uint32(stack[0])))
}

// wasiZeroes answers that there is nothing: a count and a size of zero.
func wasiZeroes(_ context.Context, m api.Module, stack []uint64) uint64 {
	mem := m.Memory()
	if !mem.WriteUint32Le(uint32(stack[0]), 0) || !mem.WriteUint32Le(uint32(stack[1]), 0) {
		return wasiFault
	}
	return wasiOK
}

// now is the guest's time; each reading of a clock that is not granted is one
// microsecond after the last.
func (f *wasiFuncs) now(wall bool) int64 {
	switch {
	case f.clock == nil:
		return f.leap.Add(1000)
	case wall:
		return f.clock.clock.Wall() + f.leap.Load()
	}
	return f.clock.clock.Monotonic() + f.leap.Load()
}

func (f *wasiFuncs) clockTime(_ context.Context, m api.Module, stack []uint64) uint64 {
	if !m.Memory().WriteUint64Le(uint32(stack[2]), uint64(f.now(uint32(stack[0]) == 0))) {
		return wasiFault
	}
	return wasiOK
}

func (f *wasiFuncs) clockResolution(_ context.Context, m api.Module, stack []uint64) uint64 {
	if !m.Memory().WriteUint64Le(uint32(stack[1]), 1000) {
		return wasiFault
	}
	return wasiOK
}

func (f *wasiFuncs) randomGet(_ context.Context, m api.Module, stack []uint64) uint64 {
	if f.random == nil {
		return wasiNoSys
	}
	switch f.random.fill(m, stack[0], stack[1]) {
	case abi.StatusOK:
		return wasiOK
	case abi.StatusInvalid:
		return wasiFault
	}
	return wasiInval
}

// fdstat says that the three standard streams are terminals without rights.
func (f *wasiFuncs) fdstat(_ context.Context, m api.Module, stack []uint64) uint64 {
	if uint32(stack[0]) > 2 {
		return wasiBadFD
	}
	b, ok := guestBytes(m, stack[1], 24)
	if !ok {
		return wasiFault
	}
	clear(b)
	b[0] = 2 // character device
	return wasiOK
}

// write takes what the guest prints: whole lines go to the log.
func (f *wasiFuncs) write(ctx context.Context, m api.Module, stack []uint64) uint64 {
	fd := uint32(stack[0])
	if fd != 1 && fd != 2 {
		return wasiBadFD
	}
	vectors, ok := guestBytes(m, stack[1], min(uint64(uint32(stack[2])), 1024)*8)
	if !ok {
		return wasiFault
	}
	written, ok := guestBytes(m, stack[3], 4)
	if !ok {
		return wasiFault
	}
	total := uint32(0)
	for ; len(vectors) > 0; vectors = vectors[8:] {
		b, ok := guestBytes(m, uint64(binary.LittleEndian.Uint32(vectors)), uint64(binary.LittleEndian.Uint32(vectors[4:])))
		if !ok {
			return wasiFault
		}
		pay(ctx, 2*int64(len(b)))
		f.print(ctx, fd, b)
		total += uint32(len(b))
	}
	binary.LittleEndian.PutUint32(written, total)
	return wasiOK
}

func (f *wasiFuncs) print(ctx context.Context, fd uint32, b []byte) {
	if f.log == nil {
		return
	}
	level := abi.LogInfo
	if fd == 2 {
		level = abi.LogWarn
	}
	out, _ := ctx.Value(stdioKey{}).(*stdio)
	if out == nil {
		out = &stdio{}
		defer func() { f.flush(out, fd, level) }()
	}
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		open := &out.lines[fd-1]
		*open = append(*open, line[:min(len(line), wasiLine-len(*open))]...)
		if whole {
			pay(ctx, priceLine)
			f.flush(out, fd, level)
		}
		b = rest
	}
}

func (f *wasiFuncs) flush(out *stdio, fd uint32, level abi.LogLevel) {
	if open := &out.lines[fd-1]; len(*open) > 0 {
		f.log.write(level, *open)
		*open = (*open)[:0]
	}
}

// poll answers every subscription at once. What the guest wanted to wait for a
// clock is added to its time, so that a sleep is over when it looks.
func (f *wasiFuncs) poll(_ context.Context, m api.Module, stack []uint64) uint64 {
	n := uint64(uint32(stack[2]))
	if n == 0 || n > wasiPollIn {
		return wasiInval
	}
	in, ok := guestBytes(m, stack[0], n*48)
	if !ok {
		return wasiFault
	}
	out, ok := guestBytes(m, stack[1], n*32)
	if !ok {
		return wasiFault
	}
	wait := int64(-1)
	for i := range n {
		sub, event := in[i*48:(i+1)*48], [32]byte{}
		copy(event[:8], sub[:8]) // user data
		event[10] = sub[8]       // the kind of event
		switch sub[8] {
		case 0:
			timeout := int64(binary.LittleEndian.Uint64(sub[24:]))
			if binary.LittleEndian.Uint16(sub[40:])&1 == 1 { // absolute
				timeout -= f.now(binary.LittleEndian.Uint32(sub[16:]) == 0)
			}
			if timeout = max(timeout, 0); wait < 0 || timeout < wait {
				wait = timeout
			}
		default:
			event[8] = wasiBadFD
		}
		copy(out[i*32:], event[:])
	}
	if wait > 0 {
		f.leap.Add(min(wait, int64(1e9)*3600))
	}
	if !m.Memory().WriteUint32Le(uint32(stack[3]), uint32(n)) {
		return wasiFault
	}
	return wasiOK
}
