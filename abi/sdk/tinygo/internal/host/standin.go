//go:build !wasm && !tinygo.wasm

package host

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Standin is what the host functions of a test work on. Everything is granted.
type Standin struct {
	Logs    []string
	Metrics []Measure
	Wall    int64
	Mono    int64
	keys    map[string]entry
	// Requests were begun; the token of each is its place, counted from 1.
	Requests []Request
	// Rules are what was said of sources, in order; Sources is where sessions come
	// from, where that is not 192.0.2. and the session's lowest byte.
	Rules   []Rule
	Sources map[uint64]string
	random  uint64
}

// Rule is what was said of a source. TTL is in milliseconds, 0 for the longest.
type Rule struct {
	Source string
	Allow  bool
	TTL    int64
}

// Measure is a metric: a histogram's value is how many values it was given.
type Measure struct {
	Name  string
	Kind  int32
	Value float64
}

// Request is what http_send was given.
type Request struct {
	Method, URL  string
	Header, Body []byte
	Deadline     int64
}

type entry struct {
	value    []byte
	revision int64
	expires  int64 // of the monotonic clock; 0 never
}

// Current is what the host functions work on now.
var Current = &Standin{}

func (s *Standin) live(key string) (entry, bool) {
	e, ok := s.keys[key]
	if ok && e.expires != 0 && e.expires <= s.Mono {
		delete(s.keys, key)
		return entry{}, false
	}
	return e, ok
}

func (s *Standin) store(key string, value []byte, ttl int64) int64 {
	e, _ := s.live(key)
	e.revision++
	e.value, e.expires = append([]byte(nil), value...), 0
	if ttl > 0 {
		e.expires = s.Mono + min(ttl, (math.MaxInt64-s.Mono)/1_000_000)*1_000_000
	}
	if s.keys == nil {
		s.keys = make(map[string]entry)
	}
	s.keys[key] = e
	return e.revision
}

func allowed(key string, value []byte, ttl int64) int32 {
	switch {
	case key == "" || ttl < 0:
		return StatusInvalid
	case len(key) > MaxKVKey || len(value) > MaxKVValue:
		return StatusLimit
	}
	return StatusOK
}

// Log remembers a line.
func Log(_ int32, line string) {
	Current.Logs = append(Current.Logs, strings.Clone(line[:min(len(line), MaxLog)]))
}

// Metric is the id of a metric, or a status.
func Metric(kind int32, name string) int32 {
	if name == "" || len(name) > MaxMetricName {
		return StatusInvalid
	}
	for i, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || i > 0 && (c == '_' || c >= '0' && c <= '9')) {
			return StatusInvalid
		}
	}
	for i, m := range Current.Metrics {
		if m.Name == name {
			if m.Kind != kind {
				return StatusInvalid
			}
			return int32(i)
		}
	}
	Current.Metrics = append(Current.Metrics, Measure{strings.Clone(name), kind, 0})
	return int32(len(Current.Metrics) - 1)
}

func measure(id, kind int32) *Measure {
	if id < 0 || int(id) >= len(Current.Metrics) || Current.Metrics[id].Kind != kind {
		return nil
	}
	return &Current.Metrics[id]
}

// MetricAdd adds to a counter.
func MetricAdd(id int32, n int64) int32 {
	m := measure(id, MetricCounter)
	if m == nil || n < 0 {
		return StatusInvalid
	}
	m.Value += float64(n)
	return StatusOK
}

// MetricSet sets a gauge.
func MetricSet(id int32, value float64) int32 {
	m := measure(id, MetricGauge)
	if m == nil {
		return StatusInvalid
	}
	m.Value = value
	return StatusOK
}

// MetricObserve counts a value of a histogram.
func MetricObserve(id int32, _ float64) int32 {
	m := measure(id, MetricHistogram)
	if m == nil {
		return StatusInvalid
	}
	m.Value++
	return StatusOK
}

// ClockWall is the time that the test has set.
func ClockWall() int64 { return Current.Wall }

// ClockMonotonic is the time that the test has set.
func ClockMonotonic() int64 { return Current.Mono }

// Random gives the same numbers in every test (splitmix64).
func Random(to []byte) int32 {
	if len(to) > MaxHostBytes {
		return StatusLimit
	}
	for len(to) > 0 {
		Current.random += 0x9e3779b97f4a7c15
		z := Current.random
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], z^z>>31)
		to = to[copy(to, word[:]):]
	}
	return StatusOK
}

// KVGet is the length of a key's value, which is copied if it fits, or a status.
func KVGet(key string, to []byte) int64 {
	e, ok := Current.live(key)
	if !ok {
		return StatusNotFound
	}
	if len(e.value) <= len(to) {
		copy(to, e.value)
	}
	return int64(len(e.value))
}

// KVSet sets a key; ttl in milliseconds.
func KVSet(key string, value []byte, ttl int64) int32 {
	if status := allowed(key, value, ttl); status != StatusOK {
		return status
	}
	Current.store(strings.Clone(key), value, ttl)
	return StatusOK
}

// KVCAS sets a key that has this revision, and gives the new one or a status.
func KVCAS(key string, revision int64, value []byte, ttl int64) int64 {
	if status := allowed(key, value, ttl); status != StatusOK {
		return int64(status)
	}
	if e, _ := Current.live(key); e.revision != revision {
		return StatusConflict
	}
	return Current.store(strings.Clone(key), value, ttl)
}

// KVRevision is a key's revision, or a status.
func KVRevision(key string) int64 {
	e, ok := Current.live(key)
	if !ok {
		return StatusNotFound
	}
	return e.revision
}

// KVDelete removes a key.
func KVDelete(key string) int32 {
	if _, ok := Current.live(key); !ok {
		return StatusNotFound
	}
	delete(Current.keys, key)
	return StatusOK
}

// KVAdd adds to a key's value; the sum, or the lowest number minus a status.
func KVAdd(key string, delta, ttl int64) int64 {
	if status := allowed(key, nil, ttl); status != StatusOK {
		return math.MinInt64 - int64(status)
	}
	e, ok := Current.live(key)
	if !ok {
		Current.store(strings.Clone(key), binary.LittleEndian.AppendUint64(nil, uint64(delta)), ttl)
		return delta
	}
	if len(e.value) != 8 {
		return math.MinInt64 - StatusInvalid
	}
	sum := int64(binary.LittleEndian.Uint64(e.value)) + delta
	binary.LittleEndian.PutUint64(e.value, uint64(sum))
	e.revision++
	Current.keys[key] = e
	return sum
}

// HTTPSend remembers a request; its token, or a status. Every host is granted.
func HTTPSend(method, url string, header, body []byte, deadline int64) int64 {
	switch {
	case len(method) > MaxHTTPMethod || len(url) > MaxHTTPTarget || len(header) > MaxHTTPHeader || len(body) > MaxHTTPBody:
		return StatusLimit
	case !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") || deadline < 0:
		return StatusInvalid
	case method == "":
		method = "GET"
	}
	Current.Requests = append(Current.Requests, Request{
		strings.Clone(method), strings.Clone(url), append([]byte(nil), header...), append([]byte(nil), body...), deadline,
	})
	return int64(len(Current.Requests))
}

// FilterSource is the length of a session's address, which is written if it fits, or
// a status.
func FilterSource(session uint64, to []byte) int64 {
	if session == 0 {
		return StatusNotFound
	}
	address, ok := Current.Sources[session]
	if !ok {
		address = "192.0.2." + strconv.Itoa(int(uint8(session)))
	}
	if len(address) <= len(to) {
		copy(to, address)
	}
	return int64(len(address))
}

// address is a source without its port, empty if it is none.
func address(source string) string {
	ip, err := netip.ParseAddr(source)
	if err != nil {
		both, _ := netip.ParseAddrPort(source)
		ip = both.Addr()
	}
	if ip = ip.Unmap(); !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
		return ""
	}
	return ip.String()
}

func rule(source string, allow bool, ttl int64) int32 {
	if source = address(source); source == "" || ttl < 0 {
		return StatusInvalid
	}
	FilterUnblock(source)
	Current.Rules = append(Current.Rules, Rule{source, allow, ttl})
	return StatusOK
}

// FilterBlock remembers that a source is blocked; ttl in milliseconds.
func FilterBlock(source string, ttl int64) int32 { return rule(source, false, ttl) }

// FilterAllow remembers that a source is allowed; ttl in milliseconds.
func FilterAllow(source string, ttl int64) int32 { return rule(source, true, ttl) }

// FilterUnblock forgets a source.
func FilterUnblock(source string) int32 {
	if source = address(source); source == "" {
		return StatusInvalid
	}
	at := slices.IndexFunc(Current.Rules, func(r Rule) bool { return r.Source == source })
	if at < 0 {
		return StatusNotFound
	}
	Current.Rules = slices.Delete(Current.Rules, at, at+1)
	return StatusOK
}
