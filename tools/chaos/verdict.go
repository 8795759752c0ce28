package main

import (
	"fmt"
	"strings"
)

// verdict is what the ledger finds in the end.
type verdict struct {
	Sent         uint64    `json:"sent"`
	Acknowledged uint64    `json:"acknowledged"`
	Resent       uint64    `json:"resent"`  // no answer had come
	Refused      uint64    `json:"refused"` // and sent again later
	Consumers    []outcome `json:"consumers"`
}

// outcome is what one consumer was given.
type outcome struct {
	Name string `json:"name"`
	// Received counts deliveries, Distinct different messages, Repeated deliveries
	// that the consumer dropped because it knew the id.
	Received uint64 `json:"received"`
	Distinct uint64 `json:"distinct"`
	Repeated uint64 `json:"repeated"`
	// Lost were acknowledged and never delivered. Duplicates were delivered again,
	// and not dropped by their id. Reordered came for the first time behind a later
	// one of the same source. Foreign are deliveries that nobody sent, or that bear
	// another message's id.
	Lost       uint64   `json:"lost"`
	LostHealed uint64   `json:"lost_healed"` // of them, those that were published after the last fault
	Duplicates uint64   `json:"duplicates"`
	Reordered  uint64   `json:"reordered"`
	Foreign    uint64   `json:"foreign"`
	Exactly    bool     `json:"exactly_once"` // duplicates are a fault
	Unordered  bool     `json:"unordered"`    // no order is promised
	Examples   []string `json:"examples,omitempty"`
}

// verdict is to be called when nothing is under way any more.
func (l *ledger) verdict() verdict {
	v := verdict{}
	for _, s := range l.sources {
		s.mu.Lock()
		v.Sent += s.sent
		v.Acknowledged += s.acked.count
		v.Resent += s.resent
		v.Refused += s.refused
		s.mu.Unlock()
	}
	for _, c := range l.consumers {
		v.Consumers = append(v.Consumers, c.outcome())
	}
	return v
}

func (c *consumer) outcome() outcome {
	o := outcome{Name: c.name, Exactly: c.byID, Unordered: c.worker}
	for i, s := range c.ledger.sources {
		s.mu.Lock()
		c.mu.Lock()
		o.Distinct += c.seen[i].count
		o.Lost += lost(s, &c.seen[i], func(seq uint64) {
			if s.healed > 0 && seq > s.healed {
				o.LostHealed++
			}
			c.example("lost: source %d, sequence %d of %d", i, seq, s.sent)
		})
		c.mu.Unlock()
		s.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.Received, o.Repeated, o.Duplicates, o.Reordered, o.Foreign, o.Examples = c.received, c.repeated, c.doubled, c.behind, c.foreign, c.examples
	return o
}

// faults says what is wrong; nothing is wrong if it says nothing. ordered tells
// whether another order is a fault.
func (v *verdict) faults(ordered bool) (faults []string) {
	if v.Acknowledged == 0 {
		faults = append(faults, "nothing was acknowledged")
	}
	for i := range v.Consumers {
		o := &v.Consumers[i]
		count := func(n uint64, what string) {
			if n > 0 {
				faults = append(faults, fmt.Sprintf("%s: %d %s", o.Name, n, what))
			}
		}
		count(o.Lost, "lost")
		count(o.Foreign, "foreign")
		if o.Exactly {
			count(o.Duplicates, "delivered twice under two ids")
		}
		if ordered && !o.Unordered {
			count(o.Reordered, "out of order")
		}
	}
	return faults
}

// lost is how many acknowledged messages the worst off consumer was not given.
func (v *verdict) lost() (n uint64) {
	for i := range v.Consumers {
		n = max(n, v.Consumers[i].Lost)
	}
	return n
}

// lostHealed is the same of those that were published after the last fault.
func (v *verdict) lostHealed() (n uint64) {
	for i := range v.Consumers {
		n = max(n, v.Consumers[i].LostHealed)
	}
	return n
}

func (v *verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d acknowledged, %d sent again, %d refused", v.Acknowledged, v.Resent, v.Refused)
	for i := range v.Consumers {
		o := &v.Consumers[i]
		fmt.Fprintf(&b, "; %s: %d lost, %d again, %d out of order", o.Name, o.Lost, o.Repeated+o.Duplicates, o.Reordered)
		if o.Foreign > 0 {
			fmt.Fprintf(&b, ", %d foreign", o.Foreign)
		}
	}
	return b.String()
}
