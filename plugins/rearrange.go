package plugins

import (
	"errors"
	"fmt"
	"math"

	"github.com/weftrun/weft/abi"
)

// Place is one place of a chain that is rearranged.
type Place struct {
	// From is the place of the chain as it was, counted from 0 without those that are
	// leaving; negative for a plugin that comes.
	From int
	// Ready is the instance that comes, which is used up; nil keeps what is there. One
	// that takes over state is handed that of the live one at From.
	Ready *Standby
}

// Rearrange gives the chain other places, between two runs: those named stay, with their
// instances, their state and whoever is on trial there; new ones come in, the others
// leave. A plugin that leaves sees nothing new, and goes when the messages that it has
// paused have gone on. A message that the chain holds sees every plugin that it has not
// seen and that now stands behind those that it has; where the order of those that stay
// has changed it may see one twice rather than miss one.
//
// A place that does not fit the chain is an error, and nothing has changed then. State
// that cannot be handed over is named in lost: the new instance begins without it.
func (c *Chain) Rearrange(places []Place) (lost, err error) {
	c.compact()
	staying, err := c.staying(places)
	if err != nil {
		for _, p := range places {
			if p.Ready != nil {
				p.Ready.Close()
			}
		}
		return nil, err
	}
	var faults []error
	hops := make([]*hop, 0, len(places)+len(c.hops))
	for i, p := range places {
		h := staying[i]
		switch {
		case h == nil:
			h = &hop{live: p.Ready.seat(c, 0)}
		case p.Ready != nil:
			faults = append(faults, h.replace(p.Ready))
		}
		hops = append(hops, h)
	}
	c.arrange(c.withLeaving(hops))
	return errors.Join(faults...), nil
}

// Staying are the places of the chain, as Plugin counts, but for those that are leaving.
func (c *Chain) Staying() []int {
	list := make([]int, 0, len(c.hops))
	for i, h := range c.hops {
		if !h.leaving {
			list = append(list, i)
		}
	}
	return list
}

// staying are the hops of the places; nil for a place that is new.
func (c *Chain) staying(places []Place) ([]*hop, error) {
	var there []*hop
	for _, h := range c.hops {
		if !h.leaving {
			there = append(there, h)
		}
	}
	list, taken := make([]*hop, len(places)), map[int]bool{}
	for i, p := range places {
		switch {
		case p.Ready != nil && p.Ready.instance == nil:
			return nil, fmt.Errorf("%w: an instance was used or closed already", ErrPlaces)
		case p.From < 0 && p.Ready == nil:
			return nil, fmt.Errorf("%w: a plugin comes to place %d without an instance", ErrPlaces, i)
		case p.From < 0:
		case p.From >= len(there) || taken[p.From]:
			return nil, fmt.Errorf("%w: place %d is to come from place %d of %d", ErrPlaces, i, p.From, len(there))
		default:
			taken[p.From] = true
			list[i] = there[p.From]
		}
	}
	return list, nil
}

// replace seats another generation, and ends a trial.
func (h *hop) replace(ready *Standby) error {
	if h.candidate != nil {
		h.candidate.close()
		h.candidate = nil
	}
	err := handOver(h.live, ready)
	next := ready.seat(h.live.counters.chain, h.index)
	if err != nil {
		next.drop() // what it has understood of the state is not known
		err = fmt.Errorf("%s begins without its state: %w", next.plugin.spec.source(), err)
	}
	h.live.close()
	h.live = next
	return err
}

// withLeaving puts those that have paused messages behind the place that they were
// behind, and closes the others that leave.
func (c *Chain) withLeaving(hops []*hop) []*hop {
	at := 0
	for _, h := range c.hops {
		for i, stays := range hops {
			if stays == h {
				at = i + 1
			}
		}
		if at > 0 && hops[at-1] == h {
			continue
		}
		if !c.pausing(h) {
			h.close()
			continue
		}
		c.leaving, h.leaving, h.convert, h.tap = true, true, nil, nil
		hops = append(hops[:at], append([]*hop{h}, hops[at:]...)...)
		at++
	}
	return hops
}

// pausing tells whether messages wait for one of the hop's generations.
func (c *Chain) pausing(h *hop) bool {
	if c.pauses == nil {
		return false
	}
	for _, s := range c.pauses.seats {
		if s.index == h.index {
			return true
		}
	}
	return false
}

// arrange makes these the chain's hops and tells the messages that are held where they
// are now.
func (c *Chain) arrange(hops []*hop) {
	former := make([]int16, len(c.hops)) // where each is now; -1: nowhere
	for i, h := range c.hops {
		former[i] = -1
		for k := range hops {
			if hops[k] == h {
				former[i] = int16(k)
			}
		}
	}
	for k, h := range hops {
		h.index = int16(k)
		h.live.sit(h.index)
		if h.candidate != nil {
			h.candidate.sit(h.index)
		}
	}
	c.hops = hops
	p := c.pauses
	if p == nil {
		return
	}
	for _, s := range p.seats {
		if s.closing { // a former generation's, which waits for its messages
			s.index = former[s.index]
		}
	}
	for _, q := range p.queues {
		for _, h := range q.list {
			o := &h.outcome
			o.next = nextOf(former, o.next, int16(len(hops)))
			if o.hook == abi.HookResume && former[o.only] >= 0 {
				o.only = former[o.only]
			}
		}
	}
}

// nextOf is the first plugin that a message has not seen which has seen those before next.
func nextOf(former []int16, next, length int16) int16 {
	if int(next) >= len(former) {
		return length
	}
	first, behind := int16(math.MaxInt16), int16(0)
	for i, at := range former {
		switch {
		case at < 0:
		case int16(i) < next:
			behind = max(behind, at+1)
		default:
			first = min(first, at)
		}
	}
	return min(first, behind)
}

// compact forgets those that have left, as soon as the chain holds nothing.
func (c *Chain) compact() {
	if !c.leaving || c.pauses != nil && c.pauses.count > 0 {
		return
	}
	c.leaving = false
	var hops []*hop
	for _, h := range c.hops {
		if h.leaving {
			h.close()
		} else {
			hops = append(hops, h)
		}
	}
	c.arrange(hops)
}

// Rename gives the chain other names of listeners, as NewChain's, and one for what comes
// by none of them. Call it between two runs.
func (c *Chain) Rename(listenerNames []string, elsewhere string) {
	c.listeners, c.elsewhere, c.longest = nil, []byte(elsewhere), len(elsewhere)
	for _, name := range listenerNames {
		c.listeners = append(c.listeners, []byte(name))
		c.longest = max(c.longest, len(name))
	}
}
