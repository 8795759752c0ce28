package server

import (
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
)

// keeper brings dead letters from the loops to the store. A loop copies a letter
// into memory that goes back and forth, and goes on; the keeper's goroutine does
// the rest.
type keeper struct {
	store *delivery.DeadLetterStore // nil: none are kept
	boxes []*delivery.Handover[delivery.DeadLetter]
	woken chan struct{}
	ended atomic.Uint64 // letters that were kept when weft ended
}

// keeperPace is the least time between two rounds of the keeper: a flood of
// letters, of which only the newest are kept anyway, does not take a processor.
const keeperPace = 10 * time.Millisecond

func newKeeper(cfg *config.Config) *keeper {
	k := &keeper{woken: make(chan struct{}, 1)}
	if cfg.DeadLetter.Keep > 0 {
		k.store = delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: cfg.DeadLetter.Keep, Bytes: int64(cfg.DeadLetter.Size)})
	}
	return k
}

// box is a further loop's hand-over; nil if no letters are kept.
func (k *keeper) box() *delivery.Handover[delivery.DeadLetter] {
	if k.store == nil {
		return nil
	}
	k.boxes = append(k.boxes, delivery.NewHandover[delivery.DeadLetter](delivery.HandoverLimits{}))
	return k.boxes[len(k.boxes)-1]
}

// start begins to collect until the function that it returns is called.
func (k *keeper) start() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTimer(0)
		defer pace.Stop()
		for {
			select {
			case <-k.woken:
				k.collect()
			case <-end:
				return
			}
			pace.Reset(keeperPace)
			select {
			case <-pace.C:
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// wake tells that a loop has posted letters. Any loop calls it.
func (k *keeper) wake() {
	select {
	case k.woken <- struct{}{}:
	default:
	}
}

// collect puts what the loops have posted into the store. Any goroutine but a
// loop's may call it.
func (k *keeper) collect() {
	for _, box := range k.boxes {
		box.Collect(func(p *delivery.Parcel[delivery.DeadLetter]) {
			for i := range p.Items {
				k.store.Add(&p.Items[i])
			}
		})
	}
}

// kept is how many letters there are, with those that the loops have posted. Any goroutine
// but a loop's may call it.
func (k *keeper) kept() uint64 {
	if k.store == nil {
		return 0
	}
	k.collect()
	return uint64(k.store.Stats().Count)
}

// end counts the letters that end with the process. The loops have ended.
func (k *keeper) end() uint64 {
	n := k.kept()
	k.ended.Store(n)
	return n
}

func (k *keeper) lost() uint64 {
	var sum uint64
	for _, box := range k.boxes {
		sum += box.Lost()
	}
	return sum
}

func (k *keeper) metrics() []admin.Metric {
	var st delivery.DeadLetterStats
	if k.store != nil {
		st = k.store.Stats()
	}
	displaced := newFamily("weft_dead_letters_discarded_total", "Dead letters that were not kept or no longer are, by reason; ended: weft was stopped while they were kept.", admin.Counter, "reason")
	displaced.add(st.Evicted, "displaced")
	displaced.add(k.lost(), "flood")
	displaced.add(k.ended.Load(), "ended")
	return []admin.Metric{
		single("weft_dead_letters", "Dead letters that are kept.", admin.Gauge, uint64(st.Count)),
		single("weft_dead_letter_bytes", "Memory that the dead letters take.", admin.Gauge, uint64(max(st.Bytes, 0))),
		single("weft_dead_letters_stored_total", "Dead letters that reached the store.", admin.Counter, st.Stored),
		displaced.Metric,
	}
}

// The causes of letters that no plugin failed on.
const causeRoute = "route"

// routeLetter is what the letter of a message says that the configuration sends
// there.
func routeLetter(listener string) delivery.Letter {
	return delivery.Letter{Reason: causeRoute, Cause: causeRoute, Listener: listener}
}

// blame notes which plugin sends the message to where it goes, for its dead
// letter.
func (p *path) blame(chain *plugins.Chain, o *plugins.Outcome) {
	p.letter.Cause, p.letter.Plugin, p.letter.Generation = o.Cause.String(), pluginName(chain, o), o.Generation
	if p.letter.Reason = o.Failure(); p.letter.Reason == "" {
		p.letter.Reason = p.letter.Cause
	}
}

// keep hands a copy of the message over to the store; false if there is none, or
// no room.
func (p *path) keep(m *abi.Message) bool { return p.keepOf(m, abi.HookMessages) }

// keepSession keeps a letter of a session that could not begin because a plugin
// failed on it, if that is the plugin's policy.
func (p *path) keepSession(chain *plugins.Chain, m *abi.Message, o *plugins.Outcome) {
	if o.Cause <= plugins.CausePlugin || chain.Plugin(int(o.Plugin)).Spec().OnFailure != plugins.FailQuarantine {
		return
	}
	p.letter = routeLetter(p.setup.nameOf(m.Listener))
	p.blame(chain, o)
	shown := *m
	shown.Attrs = nil
	for name, value := range m.Attrs.All() {
		shown.Attrs = shown.Attrs.Append(string(name), plugins.Shown(name, value))
	}
	p.keepOf(&shown, abi.HookOpen)
}

func (p *path) keepOf(m *abi.Message, hook abi.Hook) bool {
	if p.letters == nil {
		return false
	}
	p.begin()
	l := delivery.DeadLetter{
		Time: p.now, Message: *m, Cause: p.letter.Cause, Plugin: p.letter.Plugin, Generation: p.letter.Generation,
		Hook: hook.String(), Listener: p.letter.Listener,
	}
	switch {
	case hook != abi.HookMessages || m.Changed && m.Came == nil:
		l.CameLost = true
	case m.Changed:
		l.Came = *m.Came
	default:
		l.Came = *m
	}
	l.Message.Came, l.Came.Frame, l.Came.Context = nil, nil, m.Context
	if p.letter.Reason != p.letter.Cause {
		l.Text = p.letter.Reason
	}
	if from := p.peer(m.Session); from != nil {
		l.Remote = from.session.Remote()
	}
	return delivery.PutLetter(p.letters, &l)
}
