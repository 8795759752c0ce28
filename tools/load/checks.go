package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// Checks say what each answer, or each message delivered, must be like. It is shared
// by all connections of a run. The zero value checks nothing.
type Checks struct {
	// Match must be found in the payload; nil: anything will do.
	Match *regexp.Regexp
	// JSON is what the payload must be; nil: anything. Its placeholders have the values
	// that those of the message have. Subset allows keys that it does not name.
	JSON   *Template
	Subset bool
	// Within is the longest that a message may take; 0: any time.
	Within time.Duration
}

// The kinds of what may be wrong with an answer or a delivery, in Checked.Kinds.
const (
	FailMatch   = "no_match"     // Checks.Match is not found
	FailNotJSON = "not_json"     // Checks.JSON: it is none
	FailJSON    = "json_differs" // it is another one
	FailLate    = "late"         // Checks.Within
	FailRefused = "refused"      // the server says no: an error, an exception, a reason code
	FailSilent  = "no_answer"    // no answer within Config.Timeout
)

// Checked is what became of the checks.
type Checked struct {
	// Passed and Failed are answers or deliveries; one may fail in several Kinds.
	Passed uint64            `json:"passed"`
	Failed uint64            `json:"failed"`
	Kinds  map[string]uint64 `json:"kinds"`
	// Samples are the first of each kind, at most SamplesOfKind.
	Samples []Failed `json:"samples"`
}

// Failed is one check that failed.
type Failed struct {
	Kind   string `json:"kind"`
	Client int    `json:"client"`
	// Seq is the message's number at its publisher.
	Seq uint64 `json:"seq"`
	// Want and Got are cut to 200 bytes.
	Want string `json:"want"`
	Got  string `json:"got"`
}

// SamplesOfKind is how many failures of a kind are shown.
const SamplesOfKind = 3

// checker does the checks of one connection; nil does none.
type checker struct {
	checks *Checks
	seed   uint64
	topics []string
	want   any // of JSON, where it is the same for every message
	text   []byte
	stays  bool

	mu  sync.Mutex // refusals come from another goroutine
	out Checked
}

func newChecker(c *Config) *checker {
	k := &checker{checks: c.Checks, seed: c.Payload.Seed, topics: c.Topics}
	k.out.Kinds = map[string]uint64{}
	return k
}

// wanted tells whether payloads must be looked at.
func (k *checker) wanted() bool { return k.checks != nil }

// check looks at one answer or delivery of message seq of a client. latency is below 0
// if it is not known.
func (k *checker) check(payload []byte, client, topic int, seq uint64, latency int64) {
	if k.checks == nil {
		return
	}
	c, ok := k.checks, true
	if c.Match != nil && !c.Match.Match(payload) {
		ok = false
		k.fail(FailMatch, client, seq, c.Match.String(), payload)
	}
	if c.Within > 0 && latency > int64(c.Within) {
		ok = false
		k.fail(FailLate, client, seq, c.Within.String(), []byte(time.Duration(latency).String()))
	}
	if c.JSON != nil && !k.checkJSON(payload, client, topic, seq) {
		ok = false
	}
	k.mu.Lock()
	if ok {
		k.out.Passed++
	} else {
		k.out.Failed++
	}
	k.mu.Unlock()
}

func (k *checker) checkJSON(payload []byte, client, topic int, seq uint64) bool {
	if !k.stays {
		v := templateValues{client: client, seq: seq, seed: k.seed, n: topic, now: time.Now, undetermined: true}
		if topic < len(k.topics) {
			v.topic = k.topics[topic]
		}
		k.text = k.checks.JSON.append(k.text[:0], &v)
		k.want = nil
		if err := readJSON(k.text, &k.want); err != nil {
			k.fail(FailJSON, client, seq, "(not JSON itself) "+string(k.text), payload)
			return false
		}
		k.stays = len(k.checks.JSON.parts) == 1 && k.checks.JSON.parts[0].kind == ""
	}
	var got any
	if err := readJSON(payload, &got); err != nil {
		k.fail(FailNotJSON, client, seq, string(k.text), payload)
		return false
	}
	if !sameJSON(k.want, got, k.checks.Subset) {
		k.fail(FailJSON, client, seq, string(k.text), payload)
		return false
	}
	return true
}

func readJSON(b []byte, into *any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one value")
	}
	return nil
}

// sameJSON tells whether two values are the same; as a subset, got's objects may have
// more keys.
func sameJSON(want, got any, subset bool) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) < len(w) || !subset && len(g) != len(w) {
			return false
		}
		for key, value := range w {
			other, there := g[key]
			if !there || !sameJSON(value, other, subset) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, func(a, b any) bool { return sameJSON(a, b, subset) })
	case json.Number:
		g, ok := got.(json.Number)
		if !ok || w == g {
			return ok
		}
		a, errA := w.Float64()
		b, errB := g.Float64()
		_, exactA := w.Int64()
		_, exactB := g.Int64()
		return errA == nil && errB == nil && a == b && (exactA != nil || exactB != nil)
	}
	return want == got
}

// fail counts a failure and keeps the first of its kind.
func (k *checker) fail(kind string, client int, seq uint64, want string, got []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out.Kinds[kind]++
	if k.out.Kinds[kind] <= SamplesOfKind {
		k.out.Samples = append(k.out.Samples, Failed{kind, client, seq, brief(want), brief(string(got))})
	}
}

// refused counts n refusals of the server.
func (k *checker) refused(n uint64, client int, seq uint64, why string) {
	if n == 0 {
		return
	}
	k.fail(FailRefused, client, seq, "", []byte(why))
	k.mu.Lock()
	k.out.Failed += n
	k.out.Kinds[FailRefused] += n - 1
	k.mu.Unlock()
}

// brief cuts a text for a sample, and quotes what is none.
func brief(s string) string {
	if !utf8.ValidString(s) {
		s = fmt.Sprintf("% x", s[:min(len(s), 66)])
	}
	if len(s) <= 200 {
		return s
	}
	return s[:197] + "..."
}

// Merge adds what another run found.
func (c *Checked) Merge(o *Checked) {
	c.Passed += o.Passed
	c.Failed += o.Failed
	if c.Kinds == nil {
		c.Kinds = map[string]uint64{}
	}
	for kind, n := range o.Kinds {
		c.Kinds[kind] += n
	}
	seen := map[string]int{}
	for _, s := range c.Samples {
		seen[s.Kind]++
	}
	for _, s := range o.Samples {
		if seen[s.Kind]++; seen[s.Kind] <= SamplesOfKind {
			c.Samples = append(c.Samples, s)
		}
	}
}
