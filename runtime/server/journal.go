package server

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/life"
)

// journal keeps the last changes of what weft does, for those who look.
type journal struct {
	mu   sync.Mutex
	ring [maxChanges]*weftv1.Change
	next int
}

// maxChanges is how many are kept.
const maxChanges = 64

// The kinds of changes.
const (
	changeState  = "state"
	changePlugin = "plugin"
	changeConfig = "config"
)

// note keeps a change, which must not be changed any more.
func (j *journal) note(c *weftv1.Change) {
	if c.Time == nil {
		c.Time = timestamppb.Now()
	}
	c.Text = utf8(c.Text)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring[j.next%maxChanges] = c
	j.next++
}

// list is what is kept, newest first.
func (j *journal) list() []*weftv1.Change {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []*weftv1.Change
	for at := j.next - 1; at >= 0 && at >= j.next-maxChanges; at-- {
		list = append(list, j.ring[at%maxChanges])
	}
	return list
}

// state keeps a transition of the process's life.
func (j *journal) state(to life.State, reason string) {
	level := weftv1.Level_LEVEL_OK
	switch to {
	case life.Draining:
		level = weftv1.Level_LEVEL_WARN
	case life.Failed:
		level = weftv1.Level_LEVEL_BAD
	}
	j.note(&weftv1.Change{Level: level, Kind: changeState, What: to.String(), Text: reason})
}

// rollout keeps a step of a plugin's generations.
func (j *journal) rollout(plugin string, e *event) {
	level := weftv1.Level_LEVEL_OK
	if e.what == didRefuse || e.what == didRollBack && e.cause != causeByHand {
		level = weftv1.Level_LEVEL_WARN
	}
	j.note(&weftv1.Change{
		Time: timestamppb.New(e.time), Level: level, Kind: changePlugin, Subject: plugin, What: e.what, Text: e.text, Generation: e.generation,
	})
}

// config keeps what became of a configuration that was read again, if it came to anything.
func (j *journal) config(file string, last *admin.ConfigReload) {
	c := &weftv1.Change{Level: weftv1.Level_LEVEL_OK, Kind: changeConfig, Subject: file, What: last.Result, Text: strings.Join(last.Changed, ", ")}
	switch last.Result {
	case admin.ReloadUnchanged:
		return
	case admin.ReloadRefused:
		c.Level, c.Text = weftv1.Level_LEVEL_BAD, strings.Join(last.Problems, "; ")
	}
	j.note(c)
}
