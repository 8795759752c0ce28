package server

import (
	"strings"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/router"
)

// observe has the others told of what this node has receivers for. It is called before
// there are any.
func (c *cluster) observe() {
	if c == nil {
		return
	}
	c.server.topics.Observe(c.subscription)
	c.server.sessions.Observe(
		func(name string, held bool) { c.tell(backbone.Interest{Kind: backbone.InName, Text: name}, held) },
		func(queue string, members bool) {
			c.tell(backbone.Interest{Kind: backbone.InQueue, Text: queue}, members)
		})
}

func (c *cluster) tell(i backbone.Interest, on bool) {
	switch {
	case c.link == nil:
	case on:
		c.link.Add(i)
	default:
		c.link.Remove(i)
	}
}

// subscription is told of every change of the trie, one at a time.
func (c *cluster) subscription(pattern string, by router.Subscriber, added bool) {
	switch {
	case isFar(by.Session), isHere(by.Session), ofThisNode(pattern):
	case isGroup(by.Session):
		c.sharedSubscription(by.Session, added)
	default:
		c.tell(backbone.Interest{Kind: backbone.InPattern, Text: router.Canonical(pattern)}, added)
	}
}

// sharedSubscription tells of a group, which is gone already when it is taken out of the
// trie.
func (c *cluster) sharedSubscription(session uint64, added bool) {
	if added {
		if g := c.server.mqtt.groups.Group(uint32(session)); g != nil {
			c.groups[session] = backbone.Interest{Kind: backbone.InShared, Text: sharedText(g)}
		}
	}
	if i, ok := c.groups[session]; ok {
		c.tell(i, added)
	}
	if !added {
		delete(c.groups, session)
	}
}

// ofThisNode tells whether what the pattern matches is about this node, so that others
// do not send theirs.
func ofThisNode(pattern string) bool {
	return strings.HasPrefix(pattern, sysPrefix) || pattern == strings.TrimSuffix(sysPrefix, "/")
}

// hereBit marks a subscription of the API that is for messages of this node alone.
const hereBit = 1 << 53

func isHere(id uint64) bool { return isAPI(id) && id&hereBit != 0 && id&askBit == 0 }
