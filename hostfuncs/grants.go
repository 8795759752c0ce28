package hostfuncs

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
)

// Grants is what the operator lets one plugin do, a field for each capability; a
// nil field is a capability that is not granted.
type Grants struct {
	Log     *LogGrant
	Metrics *MetricsGrant
	Clock   *ClockGrant
	Random  *RandomGrant
	KV      *KVGrant
	HTTP    *HTTPGrant
	Filter  *FilterGrant
	// Publish and Subscribe have no functions: they bound the effects that a
	// plugin's answers carry.
	Publish   *PublishGrant
	Subscribe *SubscribeGrant
	WASI      *WASIGrant
}

// LogGrant lets a plugin write log lines.
type LogGrant struct {
	// Rate is how many lines a second may be written on average, 0 for
	// DefaultLogRate; Burst how many at once, 0 for twice the rate.
	Rate, Burst float64
}

// MetricsGrant lets a plugin have metrics.
type MetricsGrant struct {
	// Max is how many, 0 for DefaultMetrics.
	Max int
}

// ClockGrant lets a plugin read the time; its records then carry it as well.
type ClockGrant struct{}

// RandomGrant lets a plugin read secure random bytes.
type RandomGrant struct {
	// Rate is how many bytes a second may be read on average, 0 for
	// DefaultRandomRate. As many may be read at once, and at least
	// abi.MaxHostBytes.
	Rate int64
}

// KVGrant lets a plugin keep keys and values in the host.
type KVGrant struct {
	// Namespace is whose keys: plugins with the same one share them.
	Namespace string
	// Size bounds the namespace in bytes, 0 for DefaultKVSize. Of two
	// different sizes for one namespace the larger counts.
	Size int64
	// Entries bounds how many keys the namespace has; 0 sets no bound beside
	// Size. Of two different bounds the larger counts.
	Entries int64
	// TTL is the longest time that a value of this plugin's lives: a longer
	// one, and none, becomes this one. 0 is no bound.
	TTL time.Duration
	// Cluster has all nodes of a cluster share the namespace, and its values outlive
	// the process: see [Replica]. It is another one than the process's own of that
	// name.
	Cluster bool
}

// PublishGrant lets a plugin emit messages.
type PublishGrant struct {
	// Topics are the patterns of the topics that it may emit to, at least one:
	// see [Topics].
	Topics []string
}

// SubscribeGrant lets a plugin begin and end subscriptions of sessions.
type SubscribeGrant struct {
	// Topics are patterns, at least one. A pattern that a plugin subscribes a
	// session to must lie within one of them, see [Topics.Covers].
	Topics []string
}

// WASIGrant lets in a guest that was linked against WASI preview 1.
type WASIGrant struct{}

// Defaults of the grants.
const (
	DefaultLogRate = 100
	DefaultMetrics = 64
	DefaultKVSize  = 1 << 20
	// DefaultRandomRate is bytes a second: as many as a million random
	// identifiers of 16 bytes, for a few percent of a core.
	DefaultRandomRate = 16 << 20
)

// ErrGrants is wrapped by every error of [ParseGrants].
var ErrGrants = errors.New("bad grants")

// Has reports whether the capability is granted.
func (g Grants) Has(c abi.Capability) bool {
	switch c {
	case abi.CapLog:
		return g.Log != nil
	case abi.CapMetrics:
		return g.Metrics != nil
	case abi.CapClock:
		return g.Clock != nil
	case abi.CapRandom:
		return g.Random != nil
	case abi.CapKV:
		return g.KV != nil
	case abi.CapHTTP:
		return g.HTTP != nil
	case abi.CapFilter:
		return g.Filter != nil
	case abi.CapPublish:
		return g.Publish != nil
	case abi.CapSubscribe:
		return g.Subscribe != nil
	case abi.CapWASI:
		return g.WASI != nil
	}
	return false
}

// Example is a line of configuration that grants the capability.
func Example(c abi.Capability) string {
	switch c {
	case abi.CapKV:
		return "kv: {namespace: NAME, size: 1MiB}"
	case abi.CapHTTP:
		return "http: {hosts: [api.example.org]}"
	case abi.CapFilter:
		return "filter: {sources: 1000, longest: 10m}"
	case abi.CapPublish, abi.CapSubscribe:
		return string(c) + `: {topics: ["TOPIC/#"]}`
	}
	return string(c) + ": {}"
}

// ParseGrants reads the grants of a plugin as they stand in the configuration:
// the capability's name, and a map of its scope, which may be nil.
//
//	log: {rate: 100, burst: 200}
//	metrics: {max: 64}
//	clock: {}
//	random: {rate: 16MiB}
//	kv: {namespace: tokens, size: 1MiB, entries: 10000, ttl: 1h, scope: cluster}
//	http: {hosts: [api.example.org, "http://10.0.0.7:8080"], concurrency: 16, deadline: 5s, request: 64KiB, response: 64KiB}
//	filter: {sources: 1000, longest: 10m, rate: 100/s}
//	publish: {topics: ["alarm/#"]}
//	subscribe: {topics: ["truck/+/in/#"]}
//	wasi: {}
func ParseGrants(in map[string]map[string]any) (Grants, error) {
	var g Grants
	var errs []error
	for name, scope := range in {
		s := scopeReader{capability: name, scope: scope}
		switch abi.Capability(name) {
		case abi.CapLog:
			g.Log = &LogGrant{Rate: s.number("rate"), Burst: s.number("burst")}
		case abi.CapMetrics:
			g.Metrics = &MetricsGrant{Max: int(s.number("max"))}
		case abi.CapClock:
			g.Clock = &ClockGrant{}
		case abi.CapRandom:
			g.Random = &RandomGrant{Rate: s.size("rate")}
		case abi.CapKV:
			g.KV = &KVGrant{Namespace: s.text("namespace"), Size: s.size("size"), Entries: int64(s.number("entries")), TTL: s.duration("ttl"), Cluster: s.clusterWide()}
			if g.KV.Namespace == "" {
				s.fail("namespace", "is missing: plugins that name the same one share keys")
			}
		case abi.CapHTTP:
			g.HTTP = s.http()
		case abi.CapPublish:
			g.Publish = &PublishGrant{Topics: s.topics("topics")}
		case abi.CapSubscribe:
			g.Subscribe = &SubscribeGrant{Topics: s.topics("topics")}
		case abi.CapWASI:
			g.WASI = &WASIGrant{}
		case abi.CapFilter:
			g.Filter = s.filter()
		default:
			s.errs = append(s.errs, fmt.Errorf("%w: unknown capability %q: expected log, metrics, clock, random, kv, http, filter, publish, subscribe or wasi", ErrGrants, name))
		}
		errs = append(errs, s.finish()...)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return g, errors.Join(errs...)
}

// scopeReader reads the keys of one grant and remembers which it has read.
type scopeReader struct {
	capability string
	scope      map[string]any
	read       []string
	errs       []error
}

func (s *scopeReader) fail(key, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("%w: %s.%s %s", ErrGrants, s.capability, key, fmt.Sprintf(format, args...)))
}

func (s *scopeReader) take(key string) (any, bool) {
	s.read = append(s.read, key)
	v, ok := s.scope[key]
	return v, ok && v != nil
}

func (s *scopeReader) number(key string) float64 {
	v, ok := s.take(key)
	if !ok {
		return 0
	}
	n, ok := toNumber(v)
	if !ok || n < 1 || n > 1e9 {
		s.fail(key, "is %v: expected a number from 1 to 1000000000", v)
		return 0
	}
	return n
}

func (s *scopeReader) text(key string) string {
	v, ok := s.take(key)
	if !ok {
		return ""
	}
	t, ok := v.(string)
	if !ok {
		s.fail(key, "is %v: expected text", v)
	}
	return t
}

// clusterWide reads how far a namespace reaches.
func (s *scopeReader) clusterWide() bool {
	scope := s.text("scope")
	if scope != "" && scope != "process" && scope != "cluster" {
		s.fail("scope", "is %q: expected process or cluster", scope)
	}
	return scope == "cluster"
}

// topics reads a list of patterns, which may not be empty.
func (s *scopeReader) topics(key string) []string {
	list := s.texts(key)
	if _, err := CompileTopics(list); err != nil && len(s.errs) == 0 {
		s.errs = append(s.errs, fmt.Errorf("%w: %s.%s: %w", ErrGrants, s.capability, key, err))
	}
	return list
}

func (s *scopeReader) size(key string) int64 {
	v, ok := s.take(key)
	if !ok {
		return 0
	}
	if t, isText := v.(string); isText {
		n, err := parseSize(t)
		if err != nil {
			s.fail(key, "is %q: expected a size such as 1MiB", t)
		}
		return n
	}
	n, ok := toNumber(v)
	if !ok || n < 1 || n > math.MaxInt64/2 {
		s.fail(key, "is %v: expected a size such as 1MiB", v)
		return 0
	}
	return int64(n)
}

func (s *scopeReader) finish() []error {
	for key := range s.scope {
		if slices.Contains(s.read, key) {
			continue
		}
		if len(s.read) == 0 {
			s.fail(key, "is unknown: %s has no settings", s.capability)
		} else {
			s.fail(key, "is unknown: expected %s", strings.Join(s.read, " or "))
		}
	}
	return s.errs
}

func toNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// parseSize reads a number of bytes: a whole number with B, KiB, MiB or GiB
// behind it, or none.
func parseSize(text string) (int64, error) {
	unit := int64(1)
	digits := strings.TrimSpace(text)
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%w: %q is no size", ErrGrants, text)
	}
	return n * unit, nil
}
