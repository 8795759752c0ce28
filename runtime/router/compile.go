package router

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/weftrun/weft/abi"
)

// Compile turns rules into a table. The fallback is the default route, for
// messages that no rule matches; listeners are the names that rules may speak
// of, by the index that messages carry. All faults are reported at once; each
// wraps ErrRule and names the rule and the key.
func Compile(rules []Rule, fallback []Target, listeners []string) (*Table, error) {
	byName := make(map[string]uint32, len(listeners))
	for i, name := range slices.Backward(listeners) {
		byName[name] = uint32(i)
	}
	return CompileFor(rules, fallback, byName)
}

// CompileFor is Compile with the numbers of the listeners by their names.
func CompileFor(rules []Rule, fallback []Target, listeners map[string]uint32) (*Table, error) {
	t := &Table{rules: make([]rule, len(rules)), topics: NewTrie[uint16]()}
	if len(rules) > math.MaxUint16 {
		return nil, fmt.Errorf("%w: %d routes, at most %d are allowed", ErrRule, len(rules), math.MaxUint16)
	}
	var faults []error
	for i := range rules {
		at := fmt.Sprintf("routes[%d]", i)
		if rules[i].Name != "" {
			at = fmt.Sprintf("routes[%d] (%s)", i, rules[i].Name)
		}
		c := compiler{at: at}
		t.rules[i] = c.rule(&rules[i], listeners)
		if topic := rules[i].When.Topic; topic == "" {
			t.always = append(t.always, uint16(i))
		} else if _, err := t.topics.Add(topic, uint16(i)); err != nil {
			c.fault("when.topic: %w", err)
		}
		faults = append(faults, c.faults...)
	}
	c := compiler{at: "default_route"}
	t.fallback = c.rule(&Rule{Name: "default", To: fallback}, nil)
	faults = append(faults, c.faults...)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	t.number()
	return t, nil
}

// number counts the destinations.
func (t *Table) number() {
	for i := range t.rules {
		t.rules[i].number(&t.places)
	}
	t.fallback.number(&t.places)
}

func (r *rule) number(next *int) {
	for i := range r.to {
		r.to[i].Index = *next
		*next++
	}
}

// compiler collects the faults of one rule.
type compiler struct {
	at     string
	faults []error
}

func (c *compiler) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("%w: %s: %w", ErrRule, c.at, fmt.Errorf(format, args...)))
}

func (c *compiler) rule(from *Rule, listeners map[string]uint32) rule {
	r := rule{
		name:       from.Name,
		attributes: attributes(from.When.Attributes),
		priorities: c.priorities(from.When.Priority),
		types:      c.types(from.When.Type),
		listener:   c.listener(from.When.Listener, listeners),
		qos:        from.QoS,
		goOn:       from.Continue,
	}
	switch from.When.Match {
	case "", "all":
	case "any":
		r.anyOf = true
	default:
		c.fault("when.match: %q is unknown; expected all or any", from.When.Match)
	}
	if from.QoS != nil && *from.QoS > abi.MaxQoS {
		c.fault("qos: %d is out of range; expected 0, 1 or 2", *from.QoS)
	}
	if from.Hash != "" {
		hash, err := TextTemplate(from.Hash)
		if err != nil {
			c.fault("hash: %w", err)
		}
		r.hash = hash
	}
	c.targets(&r, from.To)
	return r
}

// attributes orders the conditions by name, so that tables compiled from the
// same rules are the same.
func attributes(from map[string]string) []attribute {
	var list []attribute
	for name, value := range from {
		list = append(list, attribute{name: name, value: value, present: value == "*"})
	}
	slices.SortFunc(list, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return list
}

// targets compiles the destinations and says whether one of them is chosen.
func (c *compiler) targets(r *rule, to []Target) {
	if len(to) == 0 {
		c.fault("to: no destination; expected at least one, such as subscribers")
		return
	}
	weighted := 0
	for i, target := range to {
		d, err := destination(target)
		if err != nil {
			c.fault("to[%d]: %w", i, err)
		}
		if target.Weight > 0 {
			weighted++
		}
		r.to = append(r.to, d)
	}
	if weighted > 0 && weighted < len(to) {
		c.fault("to: %d of %d destinations have a weight; give every one a weight above 0, or none", weighted, len(to))
	}
	r.one = len(to) > 1 && (weighted > 0 || r.hash != nil)
	for i := range r.to {
		r.to[i].Weight = max(r.to[i].Weight, 1)
		r.total += uint64(r.to[i].Weight)
	}
}

func destination(target Target) (Destination, error) {
	parsed, err := abi.ParseDestination([]byte(target.To))
	if err != nil {
		return Destination{}, err
	}
	d := Destination{Kind: parsed.Kind, Weight: target.Weight, text: target.To, id: fnv(target.To)}
	if parsed.Name == nil {
		return d, nil
	}
	parse := TextTemplate
	if parsed.Kind == abi.ToSubscribers {
		parse = TopicTemplate
	}
	t, err := parse(string(parsed.Name))
	if err != nil {
		return d, err
	}
	if t.Fixed() {
		d.Name = []byte(t.parts[0].literal)
		return d, nil
	}
	d.Template = t
	return d, nil
}

// priorities turns a comparison or a range into the set of priorities that meet
// it, bit n for priority n.
func (c *compiler) priorities(text string) uint8 {
	if text == "" {
		return math.MaxUint8
	}
	low, high, ok := priorityRange(text)
	if !ok {
		c.fault("when.priority: %q is no comparison; expected a number from 0 to %d, with one of >= > <= < = != before it where wanted, or a range such as 2-5", text, abi.MaxPriority)
		return 0
	}
	set := uint8(1<<(high+1) - 1<<low)
	if strings.HasPrefix(text, "!=") {
		set = ^set
	}
	if set == 0 {
		c.fault("when.priority: no priority is %s; they run from 0 to %d", text, abi.MaxPriority)
	}
	return set
}

// priorityRange reads a comparison as the range from low to high, both included:
// high is low - 1 where nothing is in it. For != it is what is left out.
func priorityRange(text string) (low, high int, ok bool) {
	digit := func(text string) (int, bool) {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 8)
		return int(n), err == nil && n <= abi.MaxPriority
	}
	if from, to, found := strings.Cut(text, "-"); found {
		low, okLow := digit(from)
		high, okHigh := digit(to)
		return low, high, okLow && okHigh && low <= high
	}
	operator := strings.TrimRight(text, "0123456789 ")
	n, ok := digit(text[len(operator):])
	switch operator {
	case "", "=", "==", "!=":
		return n, n, ok
	case ">":
		return n + 1, abi.MaxPriority, ok
	case ">=":
		return n, abi.MaxPriority, ok
	case "<":
		return 0, n - 1, ok
	case "<=":
		return 0, n, ok
	}
	return 0, 0, false
}

func (c *compiler) types(text string) uint8 {
	if text == "" {
		return math.MaxUint8
	}
	for _, t := range []abi.Type{abi.TypeEvent, abi.TypeRequest, abi.TypeResponse, abi.TypeAck} {
		if t.String() == text {
			return 1 << t
		}
	}
	c.fault("when.type: %q is unknown; expected event, request, response or ack", text)
	return 0
}

func (c *compiler) listener(name string, listeners map[string]uint32) uint32 {
	if name == "" {
		return anyListener
	}
	if number, ok := listeners[name]; ok {
		return number
	}
	names := slices.SortedFunc(maps.Keys(listeners), func(a, b string) int { return cmp.Compare(listeners[a], listeners[b]) })
	c.fault("when.listener: %q is no listener; expected one of %s", name, strings.Join(names, ", "))
	return anyListener
}
