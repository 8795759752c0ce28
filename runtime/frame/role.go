package frame

import "github.com/weftrun/weft/abi"

// role is what a field means to the message.
type role uint8

const (
	roleNone role = iota
	roleSeq
	roleType
	rolePriority
	roleNode
	roleTopic
	rolePayload
	roleMagic
	roleVersion
)

var roleNames = []string{"seq", "type", "priority", "node", "topic", "payload", "magic", "version"}

func roleOf(name string) (role, bool) {
	for i, known := range roleNames {
		if name == known {
			return role(i + 1), true
		}
	}
	return roleNone, name == ""
}

var typeNames = []string{"event", "request", "response", "ack", "heartbeat"}

func typeOf(name string) (abi.Type, bool) {
	for i, known := range typeNames {
		if name == known {
			return abi.Type(i), true
		}
	}
	return 0, false
}
