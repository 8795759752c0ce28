package hostfuncs

import "fmt"

// effectScopes is how far the effects of a plugin's answers may go.
type effectScopes struct {
	publish   *Topics
	subscribe *Topics
}

func newEffectScopes(g Grants) (effectScopes, error) {
	var s effectScopes
	var err error
	if g.Publish != nil {
		if s.publish, err = CompileTopics(g.Publish.Topics); err != nil {
			return s, fmt.Errorf("publish: %w", err)
		}
	}
	if g.Subscribe != nil {
		if s.subscribe, err = CompileTopics(g.Subscribe.Topics); err != nil {
			return s, fmt.Errorf("subscribe: %w", err)
		}
	}
	return s, nil
}

// MayPublish reports whether the plugin may emit a message to the topic. It
// neither locks nor allocates.
func (h *Host) MayPublish(topic []byte) bool { return h.effects.publish.Match(topic) }

// MaySubscribe reports whether the plugin may subscribe a session to the pattern,
// and end such a subscription. It neither locks nor allocates.
func (h *Host) MaySubscribe(pattern []byte) bool { return h.effects.subscribe.Covers(pattern) }
