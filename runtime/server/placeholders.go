package server

import (
	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
)

// placeholders answers a template from a message: what is known about its session,
// then its attributes, which a client may have a say in, and a few names of
// weft's own.
type placeholders struct {
	attributes router.AttributeValues
	listener   string
	label      []byte // stands for listener, if there is one
	payload    []byte
	topic      []byte
	buffer     []byte
}

func (v *placeholders) set(listener string, m *abi.Message) {
	v.attributes = router.AttributeValues{First: m.Context, Second: m.Attrs}
	v.listener, v.label, v.payload, v.topic = listener, nil, m.Payload, m.Topic
}

// Value implements router.Values.
func (v *placeholders) Value(name string) ([]byte, bool) {
	switch name {
	case "listener":
		if len(v.label) > 0 {
			return v.label, true
		}
		v.buffer = append(v.buffer[:0], v.listener...)
		return v.buffer, true
	case "payload":
		return v.payload, true
	}
	if value, ok := v.attributes.Value(name); ok || name != "topic" {
		return value, ok
	}
	return v.topic, true
}
