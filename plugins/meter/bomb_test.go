package meter_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins/meter"
)

// one is a module with one function of type (i32 x params) -> (i32 x results), n
// times, with locals of i32 beyond.
func one(n, params, results, locals int, code ...[]byte) []byte {
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, content []byte) {
		out = append(append(append(out, id), uleb(uint64(len(content)))...), content...)
	}
	section(1, slices.Concat([]byte{2, 0x60}, uleb(uint64(params)), slices.Repeat([]byte{i32}, params), uleb(uint64(results)), slices.Repeat([]byte{i32}, results),
		[]byte{0x60, 0, 0}))
	section(3, vector(n, func(int) []byte { return []byte{0} }))
	section(4, []byte{1, 0x70, 0, 1})
	section(5, []byte{1, 0, 1})
	section(6, []byte{1, i32, 1, 0x41, 0, 0x0b})
	section(10, vector(n, func(int) []byte {
		body := slices.Concat([]byte{1}, uleb(uint64(locals)), []byte{i32}, slices.Concat(code...), []byte{0x0b})
		return append(uleb(uint64(len(body))), body...)
	}))
	return out
}

func times(n int, of func(i int) []byte) []byte {
	var b []byte
	for i := range n {
		b = append(b, of(i)...)
	}
	return b
}

func get(i int) []byte { return append([]byte{0x20}, uleb(uint64(i))...) }
func set(i int) []byte { return append([]byte{0x21}, uleb(uint64(i))...) }

// bombs are shapes that take long to compile for their size.
func bombs(locals, n int) map[string][]byte {
	return map[string][]byte{
		"loops and locals": one(1, 0, 0, locals, times(locals, func(i int) []byte { return slices.Concat([]byte{0x23, 0}, set(i)) }),
			times(n, func(i int) []byte {
				return slices.Concat([]byte{0x03, 0x40}, get(i%locals), []byte{0x41, 1, 0x6a}, set(i%locals), get(i%locals), []byte{0x0d, 0, 0x0b})
			}),
			times(locals, func(i int) []byte { return slices.Concat(get(i), []byte{0x24, 0}) })),
		"nested loops and locals": one(1, 0, 0, locals, times(locals, func(i int) []byte { return slices.Concat([]byte{0x23, 0}, set(i)) }),
			times(min(n, 900), func(i int) []byte {
				return slices.Concat([]byte{0x03, 0x40}, get(i%locals), []byte{0x41, 1, 0x6a}, set(i%locals))
			}),
			times(min(n, 900), func(i int) []byte { return slices.Concat(get(i%locals), []byte{0x0d, 0, 0x0b}) }),
			times(locals, func(i int) []byte { return slices.Concat(get(i), []byte{0x24, 0}) })),
		"ifs and locals": one(1, 0, 0, locals, times(n, func(i int) []byte {
			return slices.Concat(get(i%locals), []byte{0x04, 0x40, 0x23, 0}, set(i%locals), []byte{0x05, 0x41, 1}, set((i+1)%locals), []byte{0x0b})
		}), times(locals, func(i int) []byte { return slices.Concat(get(i), []byte{0x24, 0}) })),
		"breaks to one label": one(1, 0, 0, locals, []byte{0x02, 0x40}, times(n, func(i int) []byte {
			return slices.Concat([]byte{0x23, 0}, set(i%locals), get(i%locals), []byte{0x0d, 0})
		}), []byte{0x0b}, times(locals, func(i int) []byte { return slices.Concat(get(i), []byte{0x24, 0}) })),
		"br_table": one(1, 0, 0, locals, times(n/64+1, func(int) []byte {
			return slices.Concat([]byte{0x02, 0x40}, get(0), []byte{0x0e}, uleb(uint64(n)), slices.Repeat([]byte{0}, n+1), []byte{0x0b})
		})),
		"values on the stack": one(1, 0, 0, locals, times(n, func(i int) []byte { return []byte{0x23, 0} }), times(n, func(i int) []byte { return []byte{0x24, 0} })),
		"values over calls":   one(1, 0, 1, locals, times(n, func(i int) []byte { return []byte{0x10, 0} }), times(n-1, func(i int) []byte { return []byte{0x6a} })),
		"wide calls":          one(1, 60, 60, 1, times(60, get), times(n, func(int) []byte { return []byte{0x10, 0} })),
		"stores":              one(1, 0, 0, locals, times(n, func(i int) []byte { return slices.Concat(get(0), get(0), []byte{0x36, 2, 0}) })),
		"functions":           one(n, 0, 0, locals),
		"vectors": one(1, 0, 0, locals, times(n, func(int) []byte {
			return append([]byte{0xfd, 0x0c}, make([]byte, 16)...)
		}), times(n-1, func(int) []byte { return []byte{0xfd, 0x6e} }), []byte{0x1a}),
	}
}

// TestBombs: shapes of every size are refused, quickly, or compile in a time that
// the estimate bounds. With -overhead all sizes are tried and printed.
func TestBombs(t *testing.T) {
	sizes := [][2]int{{2000, 2000}, {10, 300}, {300, 20}}
	if *overhead {
		sizes = append(sizes, [][2]int{{10, 1000}, {10, 3000}, {100, 300}, {30, 700}, {500, 100}, {1000, 30}, {10, 20_000}, {1, 100_000}}...)
	}
	for _, size := range sizes {
		for name, wasm := range bombs(size[0], size[1]) {
			begun := worked(t)
			out, report, err := meter.Rewrite(wasm, meter.Options{})
			if took := worked(t) - begun; took > 2*time.Second {
				t.Errorf("%s %v: rewriting took %v", name, size, took)
			}
			if err != nil {
				if !errors.Is(err, meter.ErrTooComplex) {
					t.Errorf("%s %v: %v", name, size, err)
				}
				t.Logf("%-24s %v %7d bytes: %v", name, size, len(wasm), err)
				continue
			}
			begun = worked(t)
			compile(t, out)
			took := worked(t) - begun
			t.Logf("%-24s %v %7d bytes: compiled in %v, estimated %v", name, size, len(wasm), took.Round(time.Millisecond), report.Effort.Round(time.Millisecond))
			// Ten times: the estimate is of one processor, and others collect garbage.
			if took > 10*report.Effort+time.Second {
				t.Errorf("%s %v: compiling took %v, the estimate is %v", name, size, took, report.Effort)
			}
		}
	}
}

// TestClassicBomb: 43 KB that took 26 s to compile are refused at once.
func TestClassicBomb(t *testing.T) {
	wasm := bombs(2000, 2000)["loops and locals"]
	_, _, err := meter.Rewrite(wasm, meter.Options{})
	if !errors.Is(err, meter.ErrTooComplex) || !strings.Contains(err.Error(), "function 0") {
		t.Errorf("%d bytes: %v", len(wasm), err)
	}
}

// worked is what this process has taken of the processors: other than the time of day
// it does not pass while somebody else has them.
func worked(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
