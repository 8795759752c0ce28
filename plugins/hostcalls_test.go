package plugins_test

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

const (
	resultAt = 3000 // where a guest leaves what the host functions answered
	outside  = math.MaxInt32
)

// hostCall is one call of a host function with constant arguments.
type hostCall struct {
	name, sig string
	args      []any // int32, int64, float64
	want      int64
}

func i(args ...any) []any {
	for n, a := range args {
		if v, ok := a.(int); ok {
			args[n] = int32(v)
		}
	}
	return args
}

// calls is a guest that makes the calls, once each time it is handed a message,
// and replies with what they answered, 8 bytes each.
func calls(list ...hostCall) *wasmtest.Module {
	m := &wasmtest.Module{MemoryMin: 8}
	indices := map[string]int{}
	for _, c := range list {
		if _, ok := indices[c.name]; !ok {
			module, name := "weft", c.name
			if rest, ok := strings.CutPrefix(name, "wasi:"); ok {
				module, name = "wasi_snapshot_preview1", rest
			}
			indices[c.name] = m.Import(module, name, c.sig)
		}
	}
	var code [][]byte
	for n, c := range list {
		code = append(code, wasmtest.I32(int32(resultAt+8*n)))
		for _, a := range c.args {
			switch v := a.(type) {
			case int32:
				code = append(code, wasmtest.I32(v))
			case int64:
				code = append(code, wasmtest.I64(v))
			case float64:
				code = append(code, wasmtest.F64(v))
			}
		}
		code = append(code, wasmtest.Call(indices[c.name]))
		switch _, results, _ := strings.Cut(c.sig, ":"); results {
		case "":
			code = append(code, wasmtest.I64(0))
		case "i":
			code = append(code, []byte{0xac}) // i64.extend_i32_s
		}
		code = append(code, wasmtest.Store64(0))
	}
	m.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(wasmtest.BufferAt))
	code = append(code, wasmtest.EachRecord(wasmtest.Put32(abi.RecordVerdict, 2), wasmtest.PutSpan(abi.RecordOut, resultAt, int32(8*len(list)))))
	return m.Hook(abi.ExportOnMessages, code...).Data(textAt, []byte("key-value-name_1-Bad")).Data(textAt+64, []byte("kept_______________"))
}

func allGrants(namespace string) hostfuncs.Grants {
	return hostfuncs.Grants{
		Log: &hostfuncs.LogGrant{Rate: 1, Burst: 3}, Metrics: &hostfuncs.MetricsGrant{Max: 2}, Clock: &hostfuncs.ClockGrant{},
		Random: &hostfuncs.RandomGrant{}, KV: &hostfuncs.KVGrant{Namespace: namespace, Size: 4096}, WASI: &hostfuncs.WASIGrant{},
		HTTP: &hostfuncs.HTTPGrant{Hosts: []string{"api.example.org"}},
	}
}

// check runs the calls and compares what they answered.
func check(t *testing.T, env *plugins.Env, grants hostfuncs.Grants, list ...hostCall) (*plugins.Plugin, []byte) {
	t.Helper()
	p := load(t, env, calls(list...), plugins.Spec{Grants: grants, CPU: plugins.MaxCPU})
	b := messages("x")
	newChain(t, p).Messages(b)
	o := b.Outcomes[0]
	if o.Verdict != abi.VerdictReply || len(o.Out) != 8*len(list) {
		t.Fatalf("outcome %+v", o)
	}
	for n, c := range list {
		if got := int64(binary.LittleEndian.Uint64(o.Out[8*n:])); got != c.want {
			t.Errorf("call %d, %s%v: got %d, expected %d", n, c.name, c.args, got, c.want)
		}
	}
	return p, o.Out
}

func TestKVCalls(t *testing.T) {
	const set, get, cas, del, add, rev = "kv_set", "kv_get", "kv_cas", "kv_delete", "kv_add", "kv_revision"
	low := func(s abi.Status) int64 { return math.MinInt64 - int64(s) }
	env := newEnv(t, plugins.EnvConfig{Clock: newClock()})
	key, value := textAt, textAt+4
	check(t, env, allGrants("one"),
		hostCall{get, "iiii:I", i(key, 3, 4000, 100), -1},
		hostCall{set, "iiiiI:i", i(key, 3, value, 5, int64(0)), 0},
		hostCall{get, "iiii:I", i(key, 3, 4000, 100), 5},
		hostCall{get, "iiii:I", i(key, 3, 4000, 4), 5},
		hostCall{rev, "ii:I", i(key, 3), 1},
		hostCall{cas, "iiIiiI:I", i(key, 3, int64(9), value, 1, int64(0)), -5},
		hostCall{cas, "iiIiiI:I", i(key, 3, int64(0), value, 1, int64(0)), -5},
		hostCall{cas, "iiIiiI:I", i(key, 3, int64(1), value, 1, int64(0)), 2},
		hostCall{cas, "iiIiiI:I", i(key, 2, int64(0), value, 1, int64(0)), 3},
		hostCall{add, "iiII:I", i(key, 3, int64(1), int64(0)), low(abi.StatusInvalid)},
		hostCall{del, "ii:i", i(key, 3), 0},
		hostCall{del, "ii:i", i(key, 3), -1},
		hostCall{rev, "ii:I", i(key, 3), -1},
		hostCall{add, "iiII:I", i(key, 3, int64(-7), int64(0)), -7},
		hostCall{add, "iiII:I", i(key, 3, int64(9), int64(0)), 2},
		hostCall{add, "iiII:I", i(key, 3, int64(math.MaxInt64), int64(0)), low(abi.StatusLimit)},
		hostCall{get, "iiii:I", i(key, 3, 4000, 8), 8},
		// Every pointer outside, every length over its limit.
		hostCall{get, "iiii:I", i(outside, 3, 4000, 8), -4},
		hostCall{get, "iiii:I", i(key, 3, outside, 8), -4},
		hostCall{get, "iiii:I", i(key, 3, 4000, -1), -4},
		hostCall{get, "iiii:I", i(key, 0, 4000, 8), -4},
		hostCall{get, "iiii:I", i(key, 1025, 4000, 8), -3},
		hostCall{set, "iiiiI:i", i(outside, 3, value, 5, int64(0)), -4},
		hostCall{set, "iiiiI:i", i(key, 3, outside, 5, int64(0)), -4},
		hostCall{set, "iiiiI:i", i(key, 3, value, 1<<20+1, int64(0)), -3},
		hostCall{set, "iiiiI:i", i(key, 3, value, 5, int64(-1)), -4},
		hostCall{set, "iiiiI:i", i(key, 3, value, 5000, int64(0)), -3}, // over the namespace's size
		hostCall{cas, "iiIiiI:I", i(-1, 3, int64(1), value, 1, int64(0)), -4},
		hostCall{cas, "iiIiiI:I", i(key, 3, int64(1), -1, 2, int64(0)), -4},
		hostCall{add, "iiII:I", i(outside, 3, int64(1), int64(0)), low(abi.StatusInvalid)},
		hostCall{rev, "ii:I", i(outside, 3), -4},
		hostCall{del, "ii:i", i(outside, 3), -4},
	)
	// Another namespace does not see the key; the same one does.
	check(t, env, allGrants("two"), hostCall{rev, "ii:I", i(key, 3), -1})
	check(t, env, allGrants("one"), hostCall{get, "iiii:I", i(key, 3, 4000, 8), 8})
}

// sink keeps what plugins measure.
type sink struct {
	mu     sync.Mutex
	values map[string]float64
}

type sinkMetric struct {
	s    *sink
	name string
}

func (s *sink) Metric(plugin, name string, kind abi.MetricKind) (hostfuncs.Metric, error) {
	if name == "refused" {
		return nil, errors.New("no")
	}
	return sinkMetric{s, plugin + "." + name}, nil
}

func (m sinkMetric) put(v float64) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.values[m.name] += v
}
func (m sinkMetric) Add(d int64)       { m.put(float64(d)) }
func (m sinkMetric) Set(v float64)     { m.put(v) }
func (m sinkMetric) Observe(v float64) { m.put(v) }

func TestMetricCalls(t *testing.T) {
	s := &sink{values: map[string]float64{}}
	env := newEnv(t, plugins.EnvConfig{Metrics: s})
	const metric, add, set, observe = "metric", "metric_add", "metric_set", "metric_observe"
	p, _ := check(t, env, allGrants("n"),
		hostCall{metric, "iii:i", i(0, textAt, 3), 0},
		hostCall{metric, "iii:i", i(0, textAt, 3), 0},
		hostCall{metric, "iii:i", i(1, textAt, 3), -5},
		hostCall{metric, "iii:i", i(1, textAt+10, 6), 1},
		hostCall{metric, "iii:i", i(2, textAt+4, 5), -3},   // a third
		hostCall{metric, "iii:i", i(3, textAt+4, 5), -4},   // no such kind
		hostCall{metric, "iii:i", i(0, textAt+17, 3), -4},  // begins with a capital
		hostCall{metric, "iii:i", i(0, textAt, 8), -4},     // holds a dash
		hostCall{metric, "iii:i", i(0, textAt, 0), -4},     // empty
		hostCall{metric, "iii:i", i(0, textAt+64, 65), -4}, // too long
		hostCall{metric, "iii:i", i(0, outside, 3), -4},
		hostCall{add, "iI:i", i(0, int64(3)), 0},
		hostCall{add, "iI:i", i(0, int64(-3)), -4},
		hostCall{add, "iI:i", i(1, int64(3)), -4},
		hostCall{add, "iI:i", i(2, int64(3)), -1},
		hostCall{add, "iI:i", i(-1, int64(3)), -1},
		hostCall{set, "id:i", i(1, 2.5), 0},
		hostCall{set, "id:i", i(1, math.NaN()), -4},
		hostCall{set, "id:i", i(0, 2.5), -4},
		hostCall{observe, "id:i", i(1, 2.5), -4},
	)
	if s.values["guest.key"] != 3 || s.values["guest.name_1"] != 2.5 || len(s.values) != 2 {
		t.Errorf("measured %v", s.values)
	}
	if h := p.Stats().Host; h.Metrics != 2 || h.MetricsRefused != 1 {
		t.Errorf("counted %+v", h)
	}
}

func TestLogCalls(t *testing.T) {
	var lines syncBuffer
	c := newClock()
	env := newEnv(t, plugins.EnvConfig{Logger: logTo(&lines), Clock: c})
	list := []hostCall{
		{"log", "iii:", i(0, textAt, 3), 0},
		{"log", "iii:", i(3, textAt+4, 5), 0},
		{"log", "iii:", i(1, outside, 5), 0}, // nothing
		{"log", "iii:", i(2, 0, -1), 0},      // cut to 8 KiB
		{"log", "iii:", i(1, textAt, 3), 0},  // over the rate
		{"log", "iii:", i(1, textAt, 3), 0},
	}
	p, _ := check(t, env, allGrants("n"), list...)
	for _, says := range []string{"level=DEBUG msg=key plugin=guest", "level=ERROR msg=value plugin=guest", "level=WARN"} {
		if !strings.Contains(lines.String(), says) {
			t.Errorf("the log does not say %q:\n%.2000s", says, lines.String())
		}
	}
	if h := p.Stats().Host; h.LogLines != 3 || h.LogLimited != 2 || len(lines.String()) > 6*abi.MaxLog {
		t.Errorf("counted %+v in %d bytes", h, len(lines.String()))
	}
	c.advance(1e9)
	b := messages("x")
	newChain(t, p).Messages(b)
	if !strings.Contains(lines.String(), "suppressed=2") {
		t.Error("nothing says how many lines were left out")
	}
}

func TestClockAndRandomCalls(t *testing.T) {
	c := newClock()
	env := newEnv(t, plugins.EnvConfig{Clock: c})
	now := c.now.Load()
	check(t, env, allGrants("n"),
		hostCall{"clock_wall", ":I", nil, now}, hostCall{"clock_monotonic", ":I", nil, now},
		hostCall{"random", "ii:i", i(100, 16), 0}, hostCall{"random", "ii:i", i(100, 0), 0},
		hostCall{"random", "ii:i", i(outside, 16), -4}, hostCall{"random", "ii:i", i(8<<16-8, 16), -4}, hostCall{"random", "ii:i", i(100, 1<<20+1), -3})
}

// TestWASICalls: the closed WASI opens nothing, and answers as far as granted.
func TestWASICalls(t *testing.T) {
	var lines syncBuffer
	c := newClock()
	env := newEnv(t, plugins.EnvConfig{Logger: logTo(&lines), Clock: c})
	iovec := func(m *wasmtest.Module) *wasmtest.Module { // two vectors: "key-" and "value\n"
		b := binary.LittleEndian.AppendUint32(nil, textAt)
		b = binary.LittleEndian.AppendUint32(b, 4)
		b = binary.LittleEndian.AppendUint32(b, textAt+200)
		b = binary.LittleEndian.AppendUint32(b, 6)
		return m.Data(2000, b).Data(textAt+200, []byte("value\n"))
	}
	run := func(grants hostfuncs.Grants, list ...hostCall) []int64 {
		t.Helper()
		p := load(t, env, iovec(calls(list...)), plugins.Spec{Grants: grants, CPU: plugins.MaxCPU})
		b := messages("x")
		newChain(t, p).Messages(b)
		if len(b.Outcomes[0].Out) != 8*len(list) {
			t.Fatalf("outcome %+v", b.Outcomes[0])
		}
		for n, call := range list {
			if got := int64(binary.LittleEndian.Uint64(b.Outcomes[0].Out[8*n:])); got != call.want {
				t.Errorf("%s%v: errno %d, expected %d", call.name, call.args, got, call.want)
			}
		}
		return nil
	}
	all := allGrants("n")
	bare := hostfuncs.Grants{WASI: &hostfuncs.WASIGrant{}}
	for _, grants := range []hostfuncs.Grants{all, bare} {
		random := int64(0)
		if grants.Random == nil {
			random = 52
		}
		run(grants,
			hostCall{"wasi:fd_write", "iiii:i", i(1, 2000, 2, 4000), 0},
			hostCall{"wasi:fd_write", "iiii:i", i(1, outside, 2, 4000), 21},
			hostCall{"wasi:fd_write", "iiii:i", i(1, 2000, 2, outside), 21},
			hostCall{"wasi:fd_write", "iiii:i", i(7, 2000, 2, 4000), 8},
			hostCall{"wasi:args_sizes_get", "ii:i", i(4000, 4004), 0},
			hostCall{"wasi:environ_sizes_get", "ii:i", i(4000, outside), 21},
			hostCall{"wasi:clock_time_get", "iIi:i", i(0, int64(1), 4000), 0},
			hostCall{"wasi:clock_time_get", "iIi:i", i(0, int64(1), outside), 21},
			hostCall{"wasi:random_get", "ii:i", i(4000, 8), random},
			hostCall{"wasi:path_open", "iiiiiIIii:i", i(3, 0, 0, 0, 0, int64(0), int64(0), 0, 0), 52},
			hostCall{"wasi:fd_prestat_get", "ii:i", i(3, 0), 8},
			hostCall{"wasi:sock_accept", "iii:i", i(3, 0, 0), 52},
			hostCall{"wasi:poll_oneoff", "iiii:i", i(outside, 0, 1, 0), 21},
			hostCall{"wasi:poll_oneoff", "iiii:i", i(0, 0, 0, 0), 28},
			hostCall{"wasi:sched_yield", ":i", nil, 0},
		)
	}
	if got := strings.Count(lines.String(), "key-value"); got != 1 {
		t.Errorf("printed %d times, once with the log granted was expected:\n%s", got, lines.String())
	}
	exit := load(t, env, calls(hostCall{"wasi:proc_exit", "i:", i(3), 0}), plugins.Spec{Grants: bare})
	b := messages("x")
	newChain(t, exit).Messages(b)
	if b.Outcomes[0].Cause != plugins.CauseTrap || !strings.Contains(lines.String(), "proc_exit(3)") {
		t.Errorf("proc_exit: %+v\n%s", b.Outcomes[0], lines.String())
	}
}
