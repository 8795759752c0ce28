package plugins

import (
	"context"
	"fmt"
)

// Standby is an instance that was made ahead of its use, by any goroutine, for one
// place of one chain. It is used once, or closed.
type Standby struct {
	plugin   *Plugin
	instance *instance
	fresh    bool
}

// Standby makes an instance and configures it.
func (p *Plugin) Standby(ctx context.Context) (*Standby, error) {
	in, err := p.instantiate(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.spec.source(), err)
	}
	p.expectState(in)
	return &Standby{plugin: p, instance: in}, nil
}

// expectState makes room for as much state as plugins of this name last had, so that
// handing it over is a copy and nothing else: it is done on the loop.
func (p *Plugin) expectState(in *instance) {
	size := p.env.lastState(p.spec.Name)
	if size == 0 || !p.program.description.Snapshot || in.reserve(uint32(size)) != nil {
		return
	}
	clear(in.view()[in.pointer : in.pointer+uint32(size)]) // so that the pages are there
}

// Close gives back what the instance holds, if nobody has used it.
func (s *Standby) Close() {
	if s.instance != nil {
		s.plugin.retire(s.instance)
		s.instance = nil
	}
}

// Forget makes it begin without the state of the instance whose place it takes: a
// way back from a generation whose state nobody else understands.
func (s *Standby) Forget() { s.fresh = true }

// seat makes a seat of it.
func (s *Standby) seat(in *Chain, index int16) *seat {
	h := newSeat(s.plugin, in, index)
	h.take(s.instance)
	s.instance = nil
	return h
}

func closeAll(ready []*Standby) {
	for _, s := range ready {
		s.Close()
	}
}

// Places is at how many places of the chain the plugin is the live one.
func (c *Chain) Places(p *Plugin) int { return len(c.placesOf(p)) }

func (c *Chain) placesOf(p *Plugin) []*hop {
	var places []*hop
	for _, h := range c.hops {
		if h.live.plugin == p && !h.leaving {
			places = append(places, h)
		}
	}
	return places
}

// Swapped is a swap that can still be taken back. Whoever holds it calls Commit or
// Undo, once, on the chain's goroutine between two runs. Until then both
// generations' instances live.
type Swapped struct{ places []swappedPlace }

type swappedPlace struct {
	hop         *hop
	former, now *seat
}

// Commit closes the former generation's instances.
func (s *Swapped) Commit() {
	for _, p := range s.places {
		p.former.close()
	}
	s.places = nil
}

// Undo puts the former generation back and closes the new one's instances. What
// they learnt since the swap is lost.
func (s *Swapped) Undo() {
	for _, p := range s.places {
		p.hop.live = p.former
		p.now.close()
	}
	s.places = nil
}

// Swap puts a new generation where from is live, between two runs: ready holds one
// instance for each of its places. An instance that takes over state is handed that
// of the one before it. On an error nothing has changed; ready is used up in any
// case.
func (c *Chain) Swap(from *Plugin, ready []*Standby) (*Swapped, error) {
	defer closeAll(ready)
	places := c.placesOf(from)
	if err := fits(places, ready, false); err != nil {
		return nil, err
	}
	for i, h := range places {
		if h.candidate != nil {
			return nil, fmt.Errorf("%w: another generation of %s is on trial: promote or withdraw it first", ErrPlaces, from.spec.Name)
		}
		if err := handOver(h.live, ready[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", ready[i].plugin.spec.source(), err)
		}
	}
	swapped := &Swapped{}
	for i, h := range places {
		former := h.live
		h.live = ready[i].seat(c, h.index)
		swapped.places = append(swapped.places, swappedPlace{h, former, h.live})
	}
	return swapped, nil
}

// fits tells whether the instances are as many as the places, and what they are for.
func fits(places []*hop, ready []*Standby, shadow bool) error {
	if len(places) != len(ready) {
		return fmt.Errorf("%w: %d places, %d instances are ready", ErrPlaces, len(places), len(ready))
	}
	for _, s := range ready {
		if s.instance == nil {
			return fmt.Errorf("%w: an instance was used or closed already", ErrPlaces)
		}
		if s.plugin.spec.Shadow != shadow {
			return fmt.Errorf("%w: generation %d of %s was loaded with Spec.Shadow %v: what it may do is not what it is here for",
				ErrPlaces, s.plugin.spec.Generation, s.plugin.spec.Name, s.plugin.spec.Shadow)
		}
	}
	return nil
}

// handOver gives the state of one instance to another, which nobody has called
// yet. An instance that fails to hand out its state is replaced; the new one
// begins without.
func handOver(from *seat, to *Standby) error {
	if to.fresh || from.instance == nil || !from.plugin.program.description.Snapshot || !to.plugin.program.description.Snapshot {
		return nil
	}
	state, err := from.instance.snapshot()
	if err != nil {
		from.discarded("weft_snapshot", err)
		return fmt.Errorf("the state of generation %d: %w", from.plugin.spec.Generation, err)
	}
	from.plugin.env.noteState(to.plugin.spec.Name, len(state))
	return to.instance.restore(state)
}

// Canary puts another generation beside the live one: it serves so many percent of
// the sessions, always the same ones. With a nil ready it changes the percentage of
// the one that is there. ready is used up in any case. What the candidate takes
// over of the live one's state is a copy: the two go separate ways from then on.
func (c *Chain) Canary(live *Plugin, ready []*Standby, percent int) error {
	return c.candidates(live, ready, percent, false)
}

// Shadow is Canary, but for a generation that only sees the messages: its answers
// are compared with those of the live one and otherwise forgotten, see
// Plugin.Drift. Load it with Spec.Shadow.
func (c *Chain) Shadow(live *Plugin, ready []*Standby, percent int) error {
	return c.candidates(live, ready, percent, true)
}

func (c *Chain) candidates(live *Plugin, ready []*Standby, percent int, shadow bool) error {
	defer closeAll(ready)
	if percent < 0 || percent > 100 {
		return fmt.Errorf("%w: %d percent: expected 0 to 100", ErrPlaces, percent)
	}
	places := c.placesOf(live)
	if ready == nil {
		for _, h := range places {
			if h.candidate == nil || h.shadow != shadow {
				return fmt.Errorf("%w: no such generation of %s is on trial", ErrPlaces, live.spec.Name)
			}
		}
	} else if err := c.bring(places, ready, shadow); err != nil {
		return err
	}
	for _, h := range places {
		h.percent = uint64(percent)
	}
	return nil
}

// bring seats the candidates.
func (c *Chain) bring(places []*hop, ready []*Standby, shadow bool) error {
	if err := fits(places, ready, shadow); err != nil {
		return err
	}
	for i, h := range places {
		if h.candidate != nil {
			return fmt.Errorf("%w: another generation of %s is on trial: promote or withdraw it first", ErrPlaces, h.live.plugin.spec.Name)
		}
		if err := handOver(h.live, ready[i]); err != nil {
			return fmt.Errorf("%s: %w", ready[i].plugin.spec.source(), err)
		}
	}
	for i, h := range places {
		h.candidate, h.shadow = ready[i].seat(c, h.index), shadow
	}
	return nil
}

// Promote makes the canary of the plugin live, with the state that it has. A
// shadow cannot be promoted: what it may do is not what a live one may; swap its
// binary in.
func (c *Chain) Promote(live *Plugin) (*Swapped, error) {
	places := c.placesOf(live)
	for _, h := range places {
		if h.candidate == nil || h.shadow {
			return nil, fmt.Errorf("%w: no canary of %s is on trial", ErrPlaces, live.spec.Name)
		}
	}
	swapped := &Swapped{}
	for _, h := range places {
		swapped.places = append(swapped.places, swappedPlace{h, h.live, h.candidate})
		h.live, h.candidate = h.candidate, nil
	}
	return swapped, nil
}

// Withdraw ends a canary or a shadow of the plugin, if there is one.
func (c *Chain) Withdraw(live *Plugin) {
	for _, h := range c.placesOf(live) {
		if h.candidate != nil {
			h.candidate.close()
			h.candidate = nil
		}
	}
}
