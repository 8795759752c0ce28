package plugins_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

// TestPauseModel: whatever is paused where, by how many plugins and how often,
// every message leaves the chain once, and those of a session in their order.
func TestPauseModel(t *testing.T) {
	again := `{"resume": "continue"}`
	w := newWaiting(t, plugins.Spec{}, again, `{"messages": "continue", "resume": "continue"}`, again)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		m := pauseModel{T: r, w: w, round: round, order: map[uint64][]uint64{}}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 3).Draw(r, "step") {
			case 0, 1:
				m.send()
			case 2:
				m.open()
			case 3:
				m.resume()
			}
		}
		for len(m.shut) > 0 {
			m.open()
		}
		for held, _ := w.chain.Held(); held > 0; held, _ = w.chain.Held() {
			<-w.woken
			m.resume()
		}
		for session, list := range m.order {
			if len(list) > 0 {
				r.Fatalf("session %d: %d messages have not left", session, len(list))
			}
		}
	})
}

type pauseModel struct {
	*rapid.T
	w     *waiting
	round int
	seq   uint64
	paths int
	shut  []string            // gates that are closed
	order map[uint64][]uint64 // by session, what is to leave
}

// send runs a batch of messages, some of which pause in the first or third plugin.
func (m *pauseModel) send() {
	b := &plugins.Batch{}
	for range rapid.IntRange(1, 6).Draw(m.T, "messages") {
		session := rapid.Uint64Range(1, 3).Draw(m.T, "session")
		payload := rapid.SampledFrom([]string{"continue", "reply x", "drop x", "emit side continue", "ask", "ask", "same"}).Draw(m.T, "command")
		switch payload {
		case "ask":
			m.paths++
			path := fmt.Sprintf("/%d/%d", m.round, m.paths)
			m.shut = append(m.shut, path)
			payload = strings.ReplaceAll(ask(path), "; ", "\n")
		case "same":
			if len(m.shut) == 0 {
				payload = "continue"
				break
			}
			payload = strings.ReplaceAll(ask(m.shut[0]), "; ", "\n")
		}
		m.seq++
		m.order[session] = append(m.order[session], m.seq)
		b.Messages = append(b.Messages, abi.Message{Session: session, Seq: m.seq, Topic: []byte("t"), Payload: []byte(payload)})
	}
	m.w.chain.Messages(b)
	m.left(b)
}

// open lets a request go on, not always the oldest.
func (m *pauseModel) open() {
	if len(m.shut) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.shut)-1).Draw(m.T, "which")
	close(m.w.gate.of(m.shut[i]))
	m.shut = append(m.shut[:i:i], m.shut[i+1:]...)
}

func (m *pauseModel) resume() {
	b := &plugins.Batch{}
	m.w.chain.Resume(b)
	m.left(b)
}

// left checks what has left the chain.
func (m *pauseModel) left(b *plugins.Batch) {
	for i, message := range b.Messages {
		o := b.Outcomes[i]
		if o.Verdict == abi.VerdictPause || o.Cause > plugins.CausePlugin {
			m.Fatalf("left as %+v", o)
		}
		if o.Emitted {
			continue
		}
		list := m.order[message.Session]
		if len(list) == 0 || list[0] != message.Seq {
			m.Fatalf("session %d: message %d leaves, expected %v", message.Session, message.Seq, list)
		}
		m.order[message.Session] = list[1:]
	}
}
