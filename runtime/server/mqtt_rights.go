package server

import (
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/router"
)

// mqttRights is where one client may publish, and to what it may subscribe; nil where
// the listener says nothing of it.
type mqttRights struct{ publish, subscribe *hostfuncs.Topics }

func (r *mqttRights) mayPublish(topic []byte) bool {
	return r == nil || r.publish == nil || r.publish.Match(topic)
}

func (r *mqttRights) maySubscribe(pattern string) bool {
	return r == nil || r.subscribe == nil || r.subscribe.Covers([]byte(pattern))
}

// rightsOf fills in the listener's patterns for a client. A pattern of which a
// placeholder is not known allows nothing.
func (s *mqttSpeaker) rightsOf(from *peer, client []byte) *mqttRights {
	if len(s.setup.subscribe)+len(s.setup.publish) == 0 {
		return nil
	}
	values := clientValues{router.AttributeValues{First: from.session.Context()}, client}
	fill := func(templates []*router.Template) *hostfuncs.Topics {
		if len(templates) == 0 {
			return nil
		}
		var patterns []string
		for _, t := range templates {
			if pattern, err := t.Append(nil, &values); err == nil {
				patterns = append(patterns, string(pattern))
			}
		}
		topics, err := hostfuncs.CompileTopics(patterns)
		if err != nil || topics == nil {
			topics = &hostfuncs.Topics{}
		}
		return topics
	}
	return &mqttRights{fill(s.setup.publish), fill(s.setup.subscribe)}
}

// clientValues answers placeholders by what plugins know of a client, and its id.
type clientValues struct {
	known  router.AttributeValues
	client []byte
}

// Value implements router.Values.
func (v *clientValues) Value(name string) ([]byte, bool) {
	if value, ok := v.known.Value(name); ok {
		return value, true
	}
	if name == "client_id" && packet.ValidString(v.client) {
		return v.client, true
	}
	return nil, false
}
