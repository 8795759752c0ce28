package backbone

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Questions between nodes, beside the batches: one node asks another and waits for its
// answer, or tells all of them something and does not. Each is the asking node's name,
// its length u8 before it, and what the caller gives. What is lost is lost: who asks has
// a deadline, and who is told must find out by other means if it has to.

// LinkAnswers are called for what other nodes ask and tell, one call at a time each; they
// must return soon. The bytes are valid until then. Answer may be called later, once, from
// any goroutine.
type LinkAnswers struct {
	Asked func(from string, body []byte, answer func([]byte))
	Told  func(from string, body []byte)
}

func (s linkSubjects) askOf(prefix, node string) string {
	return prefix + ".link.ask." + escapeToken(node)
}
func (s linkSubjects) tell(prefix string) string { return prefix + ".link.tell" }

// Serve has the questions of other nodes answered until the link is closed. It is called
// once.
func (l *Link) Serve(a LinkAnswers) error {
	prefix := l.b.options.Prefix
	asked, err := l.b.conn.Subscribe(l.to.askOf(prefix, l.name), func(m *nats.Msg) {
		if from, body, ok := cutAsker(m.Data); ok && from != l.name {
			a.Asked(from, body, func(answer []byte) { _ = m.Respond(answer) }) // who asks waits only so long
		}
	})
	if err == nil {
		l.subs = append(l.subs, asked)
		var told *nats.Subscription
		told, err = l.b.conn.Subscribe(l.to.tell(prefix), func(m *nats.Msg) {
			if from, body, ok := cutAsker(m.Data); ok && from != l.name {
				a.Told(from, body)
			}
		})
		if err == nil {
			l.subs = append(l.subs, told)
		}
	}
	if err != nil {
		return fmt.Errorf("the link to other nodes: %w", err)
	}
	return nil
}

func (l *Link) signed(body []byte) []byte {
	b := make([]byte, 0, 1+len(l.name)+len(body))
	b = append(b, byte(len(l.name)))
	b = append(b, l.name...)
	return append(b, body...)
}

func cutAsker(b []byte) (from string, body []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// Ask asks the node of that name and waits for its answer, or until ctx ends. Nobody of
// the name is an error at once.
func (l *Link) Ask(ctx context.Context, node string, body []byte) ([]byte, error) {
	m, err := l.b.conn.RequestWithContext(ctx, l.to.askOf(l.b.options.Prefix, node), l.signed(body))
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node, err)
	}
	return m.Data, nil
}

// MostPayload is how many bytes the servers take in one message.
func (b *Backbone) MostPayload() int { return int(b.conn.MaxPayload()) }

// Tell tells all other nodes something, as far as they hear it. It does not wait, but
// for a NATS that is slow: no loop calls it.
func (l *Link) Tell(body []byte) error {
	return l.b.conn.Publish(l.to.tell(l.b.options.Prefix), l.signed(body))
}
