package abi

// ImportModule is the module name of every host function.
const ImportModule = "weft"

// Capability is a set of host functions that the operator grants as one.
type Capability string

// The capabilities. Publish and Subscribe have no functions: they bound the
// effects of a plugin's answers. Filter came with version 1.1.
const (
	CapLog       Capability = "log"
	CapMetrics   Capability = "metrics"
	CapClock     Capability = "clock"
	CapRandom    Capability = "random"
	CapKV        Capability = "kv"
	CapPublish   Capability = "publish"
	CapSubscribe Capability = "subscribe"
	CapHTTP      Capability = "http"
	CapFilter    Capability = "filter"
	// CapWASI lets in a guest whose compiler insists on WASI preview 1 (Go's
	// own does). It opens nothing: no file, no argument, no variable; its
	// clock and random answer only as far as those capabilities are granted.
	CapWASI Capability = "wasi"
)

// Capabilities lists every capability that a manifest may ask for and an operator
// may grant in this version.
var Capabilities = []Capability{
	CapLog, CapMetrics, CapClock, CapRandom, CapKV, CapPublish, CapSubscribe, CapHTTP, CapFilter, CapWASI,
}

// Import describes one host function.
type Import struct {
	Name       string
	Capability Capability
	Signature  Signature
}

// Since is the first version that has the capability.
func (c Capability) Since() Version {
	if c == CapFilter {
		return Version{1, 1}
	}
	return Version{1, 0}
}

// Imports lists every host function of this version, all in ImportModule.
// SPEC.md describes each.
var Imports = []Import{
	{"log", CapLog, Signature{[]ValueType{I32, I32, I32}, nil}},
	{"metric", CapMetrics, Signature{[]ValueType{I32, I32, I32}, []ValueType{I32}}},
	{"metric_add", CapMetrics, Signature{[]ValueType{I32, I64}, []ValueType{I32}}},
	{"metric_set", CapMetrics, Signature{[]ValueType{I32, F64}, []ValueType{I32}}},
	{"metric_observe", CapMetrics, Signature{[]ValueType{I32, F64}, []ValueType{I32}}},
	{"clock_wall", CapClock, Signature{nil, []ValueType{I64}}},
	{"clock_monotonic", CapClock, Signature{nil, []ValueType{I64}}},
	{"random", CapRandom, Signature{[]ValueType{I32, I32}, []ValueType{I32}}},
	{"kv_get", CapKV, Signature{[]ValueType{I32, I32, I32, I32}, []ValueType{I64}}},
	{"kv_set", CapKV, Signature{[]ValueType{I32, I32, I32, I32, I64}, []ValueType{I32}}},
	{"kv_cas", CapKV, Signature{[]ValueType{I32, I32, I64, I32, I32, I64}, []ValueType{I64}}},
	{"kv_delete", CapKV, Signature{[]ValueType{I32, I32}, []ValueType{I32}}},
	{"kv_add", CapKV, Signature{[]ValueType{I32, I32, I64, I64}, []ValueType{I64}}},
	{"kv_revision", CapKV, Signature{[]ValueType{I32, I32}, []ValueType{I64}}},
	{"http_send", CapHTTP, Signature{[]ValueType{I32, I32, I32, I32, I32, I32, I32, I32, I64}, []ValueType{I64}}},
	{"filter_source", CapFilter, Signature{[]ValueType{I64, I32, I32}, []ValueType{I64}}},
	{"filter_block", CapFilter, Signature{[]ValueType{I32, I32, I64}, []ValueType{I32}}},
	{"filter_allow", CapFilter, Signature{[]ValueType{I32, I32, I64}, []ValueType{I32}}},
	{"filter_unblock", CapFilter, Signature{[]ValueType{I32, I32}, []ValueType{I32}}},
}

// Status is what a host function answers when it has no other result, and the
// negative half of one that does. A guest takes a negative number that it does
// not know for StatusFailed.
type Status int32

// The statuses of host functions.
const (
	StatusOK       Status = 0
	StatusNotFound Status = -1 // no such key
	StatusDenied   Status = -2 // outside the granted scope
	StatusLimit    Status = -3 // a limit of the grant or of the ABI would be exceeded
	StatusInvalid  Status = -4 // a pointer outside the memory, a malformed argument
	StatusConflict Status = -5 // compare-and-set: another revision is there
	StatusFailed   Status = -6 // the host could not do it
	StatusTimeout  Status = -7 // the deadline of an asynchronous call has passed
)

// LogLevel is the first argument of the host function log.
type LogLevel int32

// The levels of a log line.
const (
	LogDebug LogLevel = 0
	LogInfo  LogLevel = 1
	LogWarn  LogLevel = 2
	LogError LogLevel = 3
)

// MetricKind is the first argument of the host function metric.
type MetricKind int32

// The kinds of metrics.
const (
	MetricCounter   MetricKind = 0
	MetricGauge     MetricKind = 1
	MetricHistogram MetricKind = 2
)
