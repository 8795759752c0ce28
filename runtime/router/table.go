package router

import (
	"math"
	"slices"

	"github.com/weftrun/weft/abi"
)

// Table is a compiled set of rules with its default route. It is immutable and
// may be used by any number of goroutines.
type Table struct {
	rules    []rule
	fallback rule
	topics   *Trie[uint16]
	always   Candidates // rules without a topic
	places   int
}

// rule is a compiled Rule.
type rule struct {
	name       string
	attributes []attribute
	anyOf      bool
	priorities uint8  // bit n: priority n matches
	types      uint8  // bit n: type n matches; the highest bit stands for types this version does not know
	listener   uint32 // index, or anyListener
	to         []Destination
	one        bool // one of the destinations is chosen
	total      uint64
	hash       *Template
	qos        *uint8
	goOn       bool
}

// attribute is one condition; present asks for no particular value.
type attribute struct {
	name, value string
	present     bool
}

const anyListener = math.MaxUint32

// Len is the number of rules without the default route.
func (t *Table) Len() int { return len(t.rules) }

// Direct reports whether a message that no rule matches goes to the subscribers of
// its topic and nowhere else: with no candidates there is nothing to ask then.
func (t *Table) Direct() bool {
	f := &t.fallback
	return len(f.to) == 1 && f.to[0].Kind == abi.ToSubscribers && f.to[0].Name == nil && f.to[0].Template == nil && f.qos == nil
}

// Candidates appends to dst the rules whose topic pattern matches the topic, in
// order. It allocates only to grow dst.
func (t *Table) Candidates(topic []byte, dst Candidates) Candidates {
	start := len(dst)
	dst = append(dst, t.always...)
	dst = t.topics.Match(topic, dst)
	slices.Sort(dst[start:])
	return dst
}

// Route appends to dst where the message goes: the choice of the first rule
// among the candidates that matches it, further ones only behind rules that say
// continue, and the default route where no rule matches. It allocates only to
// grow dst.
func (t *Table) Route(in *Input, rules Candidates, dst []Choice) []Choice {
	matched := false
	for _, i := range rules {
		r := &t.rules[i]
		if !r.matches(in.Message) {
			continue
		}
		dst = append(dst, r.choose(in, int(i)))
		matched = true
		if !r.goOn {
			break
		}
	}
	if !matched {
		dst = append(dst, t.fallback.choose(in, -1))
	}
	return dst
}

// Choice is where one rule sends a message, whether its condition holds or not: of
// weighted destinations the same one for the same Session, Seq and Nonce.
func (t *Table) Choice(rule int, in *Input) Choice { return t.rules[rule].choose(in, rule) }

// Destinations are all that a rule has, the weighted ones included; of the default route
// for -1. They belong to the table and must not be changed.
func (t *Table) Destinations(rule int) []Destination {
	if rule < 0 {
		return t.fallback.to
	}
	return t.rules[rule].to
}

// Places is how many destinations there are in all.
func (t *Table) Places() int { return t.places }

// Matches tells whether a rule takes the message, leaving its topic aside: see Candidates.
func (t *Table) Matches(rule int, m *abi.Message) bool { return t.rules[rule].matches(m) }

// matches checks what the topic does not tell.
func (r *rule) matches(m *abi.Message) bool {
	if r.priorities>>(m.Priority&7)&1 == 0 || r.types>>min(m.Type, 7)&1 == 0 {
		return false
	}
	if r.listener != anyListener && r.listener != m.Listener {
		return false
	}
	if len(r.attributes) == 0 {
		return true
	}
	for i := range r.attributes {
		if r.attributes[i].matches(m) == r.anyOf {
			return r.anyOf
		}
	}
	return !r.anyOf
}

func (a *attribute) matches(m *abi.Message) bool {
	value, ok := m.Context.Get(a.name)
	if !ok {
		value, ok = m.Attrs.Get(a.name)
	}
	return ok && (a.present || string(value) == a.value)
}

func (r *rule) choose(in *Input, index int) Choice {
	c := Choice{Rule: index, Name: r.name, To: r.to, QoS: in.Message.QoS}
	if r.qos != nil {
		c.QoS = *r.qos
	}
	if r.one {
		i := r.pick(in)
		c.To = r.to[i : i+1 : i+1]
	}
	return c
}

// pick chooses one destination, by the key where there is one, else by lot.
func (r *rule) pick(in *Input) int {
	m := in.Message
	if r.hash != nil {
		values := in.Values
		if values == nil {
			in.values = AttributeValues{m.Context, m.Attrs}
			values = &in.values
		}
		key, err := r.hash.Append(in.key[:0], values)
		in.key = key[:0]
		if err == nil {
			return r.rendezvous(fnv(key))
		}
	}
	lot := mix(mix(m.Session^in.Nonce*0x9e3779b97f4a7c15)+m.Seq) % r.total
	for i := range r.to {
		weight := uint64(r.to[i].Weight)
		if lot < weight {
			return i
		}
		lot -= weight
	}
	return len(r.to) - 1
}

// rendezvous picks the destination with the highest score for the key: highest
// random weight hashing (Thaler and Ravishankar, 1998) with the score
// -weight / ln(h) for h uniform in (0, 1), by which each gets its share.
func (r *rule) rendezvous(key uint64) int {
	best, at := math.Inf(-1), 0
	for i := range r.to {
		h := (float64(mix(key^r.to[i].id)>>11) + 0.5) / (1 << 53)
		if score := -float64(r.to[i].Weight) / math.Log(h); score > best {
			best, at = score, i
		}
	}
	return at
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fnv is FNV-1a: the same key meets the same destination in every process.
func fnv[B ~string | ~[]byte](key B) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 0x100000001b3
	}
	return h
}
