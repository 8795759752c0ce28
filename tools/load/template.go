package load

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Template is text with placeholders, for payloads, topics and what is expected:
//
//	{stamp}            by which a message is recognised (payloads only; 34 characters)
//	{topic} {n}        the topic, and its number
//	{client}           the publisher's number, over all workers
//	{seq}              the message's number at its publisher, from 0
//	{time}             when it is written: RFC 3339; {time:s}, {time:ms}, {time:us}, {time:ns} since 1970
//	{random:1..100}    a whole number; {random:0.5..9.5} one with as many decimals
//	{choice:a|b|c}     one of them
//	{bytes:16}         so many random bytes, in hexadecimal
//	{text:16}          so many random letters and digits
//	{pad}              whatever is missing to the size (payloads only)
//
// What is random follows from the seed, the client, the message's number and the
// placeholder's own text: the same text has the same value all over a message, and in
// what is expected of its answer; {random:1..6#b} is another value than {random:1..6}.
// Any other braces stay as they are.
type Template struct {
	text    string
	parts   []templatePart
	changes bool // from message to message
}

type templatePart struct {
	literal string
	kind    string
	spec    string
	hash    uint64
	low     float64
	high    float64
	places  int
	choices []string
	size    int
}

// templateValues is what stands for the placeholders of one message.
type templateValues struct {
	topic        string
	n            int
	client       int
	seq          uint64
	seed         uint64
	stamp, pad   string
	now          func() time.Time
	undetermined bool // {stamp}, {pad} stay as they are
}

var placeholder = regexp.MustCompile(`\{(stamp|topic|n|client|seq|time|random|choice|bytes|text|pad)(:[^{}]*)?\}`)

// maxRandom bounds {bytes} and {text}.
const maxRandom = 1 << 20

// ParseTemplate reads a template. Its errors wrap ErrConfig.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{text: text}
	rest := text
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		if at[0] > 0 {
			t.parts = append(t.parts, templatePart{literal: rest[:at[0]]})
		}
		p := templatePart{kind: rest[at[2]:at[3]], spec: rest[at[0]:at[1]]}
		args := ""
		if at[4] >= 0 {
			args = rest[at[4]+1 : at[5]]
		}
		if err := p.parse(args); err != nil {
			return nil, fmt.Errorf("%w: the placeholder %s: %w", ErrConfig, p.spec, err)
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(p.spec)) // cannot fail
		p.hash = h.Sum64()
		switch p.kind {
		case "seq", "time", "random", "choice", "bytes", "text":
			t.changes = true
		}
		t.parts = append(t.parts, p)
		rest = rest[at[1]:]
	}
	if rest != "" {
		t.parts = append(t.parts, templatePart{literal: rest})
	}
	return t, nil
}

func (p *templatePart) parse(args string) error {
	plain, _, _ := strings.Cut(args, "#")
	var err error
	switch p.kind {
	case "time":
		switch plain {
		case "", "s", "ms", "us", "ns":
			p.choices = []string{plain}
			return nil
		}
		return fmt.Errorf("expected {time}, {time:s}, {time:ms}, {time:us} or {time:ns}")
	case "random":
		low, high, ok := strings.Cut(plain, "..")
		if p.low, err = strconv.ParseFloat(low, 64); err == nil && ok {
			p.high, err = strconv.ParseFloat(high, 64)
		}
		if !ok || err != nil || p.low > p.high || p.high-p.low > 1e15 {
			return fmt.Errorf("expected such as {random:1..100} or {random:0.5..9.5}")
		}
		for _, text := range []string{low, high} {
			if _, decimals, ok := strings.Cut(text, "."); ok {
				p.places = max(p.places, len(decimals))
			}
		}
	case "choice":
		if p.choices = strings.Split(plain, "|"); plain == "" {
			return fmt.Errorf("expected such as {choice:red|green|blue}")
		}
	case "bytes", "text":
		if p.size, err = strconv.Atoi(plain); err != nil || p.size < 1 || p.size > maxRandom {
			return fmt.Errorf("expected a number of 1 to %d", maxRandom)
		}
	default:
		if args != "" {
			return fmt.Errorf("takes no %q", args)
		}
	}
	return nil
}

// has tells whether the template has a placeholder.
func (t *Template) has(kind string) bool {
	for _, p := range t.parts {
		if p.kind == kind {
			return true
		}
	}
	return false
}

// String is the template's text.
func (t *Template) String() string { return t.text }

// append writes the text for one message.
func (t *Template) append(dst []byte, v *templateValues) []byte {
	for i := range t.parts {
		dst = t.parts[i].append(dst, v)
	}
	return dst
}

func (p *templatePart) append(dst []byte, v *templateValues) []byte {
	switch p.kind {
	case "":
		return append(dst, p.literal...)
	case "topic":
		return append(dst, v.topic...)
	case "n":
		return strconv.AppendInt(dst, int64(v.n), 10)
	case "client":
		return strconv.AppendInt(dst, int64(v.client), 10)
	case "seq":
		return strconv.AppendUint(dst, v.seq, 10)
	case "stamp", "pad":
		if v.undetermined {
			return append(dst, p.spec...)
		}
		if p.kind == "pad" {
			return append(dst, v.pad...)
		}
		return append(dst, v.stamp...)
	case "time":
		return p.appendTime(dst, v.now())
	}
	r := random{state: v.seed ^ p.hash ^ uint64(v.client)*0x9e3779b97f4a7c15 ^ v.seq*0xd1342543de82ef95}
	switch p.kind {
	case "choice":
		return append(dst, p.choices[r.below(uint64(len(p.choices)))]...)
	case "bytes":
		for range p.size {
			b := byte(r.next() >> 56)
			dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
		}
	case "text":
		for range p.size {
			dst = append(dst, letters[r.next()>>59])
		}
	case "random":
		if p.places == 0 {
			return strconv.AppendInt(dst, int64(p.low)+int64(r.below(uint64(p.high-p.low)+1)), 10)
		}
		share := float64(r.next()>>11) / (1 << 53)
		return strconv.AppendFloat(dst, p.low+share*(p.high-p.low), 'f', p.places, 64)
	}
	return dst
}

func (p *templatePart) appendTime(dst []byte, now time.Time) []byte {
	switch p.choices[0] {
	case "s":
		return strconv.AppendInt(dst, now.Unix(), 10)
	case "ms":
		return strconv.AppendInt(dst, now.UnixMilli(), 10)
	case "us":
		return strconv.AppendInt(dst, now.UnixMicro(), 10)
	case "ns":
		return strconv.AppendInt(dst, now.UnixNano(), 10)
	}
	return now.UTC().AppendFormat(dst, time.RFC3339Nano)
}

// random is a generator of its own for each placeholder of each message (splitmix64:
// Steele, Lea, Flood, 2014).
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is a number from 0 to n-1.
func (r *random) below(n uint64) uint64 { return r.next() % max(n, 1) }

// wildcards is a topic's template as a pattern: a level with a placeholder that is not
// the topic's number matches anything.
func (t *Template) wildcards(n int) string {
	levels := strings.Split(t.text, "/")
	for i, level := range levels {
		for _, found := range placeholder.FindAllString(level, -1) {
			if found != "{n}" {
				levels[i] = "+"
			}
		}
	}
	return strings.ReplaceAll(strings.Join(levels, "/"), "{n}", strconv.Itoa(n))
}
