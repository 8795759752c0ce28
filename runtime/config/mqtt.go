package config

import (
	"fmt"
	"reflect"
	"strconv"
)

// FrameMQTT is the value of Listener.Frame for MQTT 3.1.1 and 5.0.
const FrameMQTT = "mqtt"

// MQTT is what an MQTT listener offers its clients. The largest packet is
// Limits.Frame, how much may wait to be written Outbox.
type MQTT struct {
	// MaxQoS is the highest quality of service that clients may use.
	MaxQoS int `koanf:"max_qos" yaml:"max_qos" default:"2" min:"0" max:"2"`
	// Retain lets clients and plugins leave messages for later subscribers.
	Retain bool `koanf:"retain" yaml:"retain" default:"true"`
	// Shared allows shared subscriptions: $share/GROUP/FILTER.
	Shared bool `koanf:"shared" yaml:"shared" default:"true"`
	// ReceiveMaximum is how many messages of QoS 1 and 2 a client may have under
	// way to weft at once.
	ReceiveMaximum int `koanf:"receive_maximum" yaml:"receive_maximum" default:"1024" min:"1" max:"65535"`
	// Window is how many messages of QoS 1 and 2 weft has under way to a client at
	// once; a client of MQTT 5 may ask for fewer.
	Window int `koanf:"window" yaml:"window" default:"256" min:"1" max:"65535"`
	// TopicAliases is how many topic aliases a client may set, and weft sets with
	// clients that allow it.
	TopicAliases int `koanf:"topic_aliases" yaml:"topic_aliases" default:"16" min:"0" max:"65535"`
	// ConnectWithin is how long a client may take to introduce itself.
	ConnectWithin Duration `koanf:"connect_within" yaml:"connect_within" default:"10s" min:"100ms" max:"10m"`
	// KeepAliveMax is the longest keep-alive of a client; MQTT 5 clients are told,
	// others are held to it. 0 is what each client asks for, none included.
	KeepAliveMax Duration `koanf:"keep_alive_max" yaml:"keep_alive_max" default:"0s" min:"0s" max:"65535s"`
	// Session is about sessions that outlive their connection.
	Session MQTTSession `koanf:"session" yaml:"session"`
	// Queue is what waits for one client: whose window is full, or who is away.
	Queue MQTTQueue `koanf:"queue" yaml:"queue"`
	// Retained bounds the retained messages of all listeners together: the first
	// MQTT listener's values hold, and another may not say anything else.
	Retained MQTTRetained `koanf:"retained" yaml:"retained"`
	// Subscribe are the patterns that clients may subscribe to, Publish those that
	// they may publish to; empty is all. {identity} and whatever else the session's
	// context holds may stand for a level, and so may {client_id}.
	Subscribe []string `koanf:"subscribe" yaml:"subscribe"`
	// Publish is what Subscribe says of publishing. Wills obey it as well.
	Publish []string `koanf:"publish" yaml:"publish"`
	// Sys is how often weft publishes its own figures under $SYS; 0 is never. The
	// shortest of all listeners counts.
	Sys Duration `koanf:"sys" yaml:"sys" default:"10s" min:"0s" max:"1h"`
}

// MQTTSession is about sessions that outlive their connection. They live in memory;
// where a backbone runs they survive a restart of weft, too.
type MQTTSession struct {
	// ExpiryMax is the longest time for which a session waits for its client. A
	// client of MQTT 5 says how long it wants; one of MQTT 3.1.1 whose session is
	// not clean gets the listener's session.ttl, or this if it is shorter.
	ExpiryMax Duration `koanf:"expiry_max" yaml:"expiry_max" default:"24h" min:"0s" max:"8760h"`
	// Sessions is how many clients the listener remembers in all, connected or away.
	Sessions int `koanf:"sessions" yaml:"sessions" default:"100000" min:"1" max:"10000000"`
	// Subscriptions is how many subscriptions one session may have.
	Subscriptions int `koanf:"subscriptions" yaml:"subscriptions" default:"1000" min:"1" max:"1000000"`
}

// The further value of MQTTQueue.WhenFull, beside WhenFullDropOldest.
const (
	// WhenFullDropNewest refuses the message that comes.
	WhenFullDropNewest = "drop-newest"
)

// MQTTQueue is what may wait for one client.
type MQTTQueue struct {
	// Messages is how many messages may wait, four times as many while the client is
	// there and its publishers are held back (Outbox.WhenFull is pause).
	Messages int `koanf:"messages" yaml:"messages" default:"10000" min:"1" max:"10000000"`
	// Size is how many bytes they may have, four times as many in the same case.
	Size Size `koanf:"size" yaml:"size" default:"4MiB" min:"1KiB" max:"4GiB"`
	// WhenFull is what becomes of a message for a client whose queue is full:
	// drop-newest refuses it, which its publisher is told, drop-oldest makes room for
	// it. Either is counted.
	WhenFull string `koanf:"when_full" yaml:"when_full" default:"drop-newest" enum:"drop-newest,drop-oldest"`
	// Total is how much memory everything that waits takes, for all listeners
	// together: the first MQTT listener's value holds, and another may not say anything
	// else.
	Total Size `koanf:"total" yaml:"total" default:"512MiB" min:"64KiB" max:"1024GiB"`
	// QoS0 keeps messages of QoS 0 for clients that are away, too.
	QoS0 bool `koanf:"qos0" yaml:"qos0" default:"false"`
}

// MQTTRetained bounds the retained messages.
type MQTTRetained struct {
	// Messages is how many topics may have one.
	Messages int `koanf:"messages" yaml:"messages" default:"100000" min:"1" max:"100000000"`
	// Size is how many bytes they may have together.
	Size Size `koanf:"size" yaml:"size" default:"256MiB" min:"1KiB" max:"64GiB"`
}

// defaultMQTT is what an MQTT listener has that says nothing of it.
func defaultMQTT() *MQTT {
	m := &MQTT{}
	d := &decoder{}
	d.structure(reflect.ValueOf(m).Elem(), nil, "")
	return m
}

// mqtt checks what an MQTT listener says of MQTT.
func (k *checker) mqtt(path string, l *Listener) {
	if l.Frame == FrameMQTT {
		if l.Acknowledge != "" {
			k.add(join(path, "acknowledge"), Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Fix: "remove the key: clients of MQTT get its own acknowledgements, and what a plugin replies"})
		}
		if l.Topic != "" && l.Topic != defaultTopic {
			k.add(join(path, "topic"), Problem{Cause: "has no effect", Value: show(l.Topic), Found: "frame: " + l.Frame, Fix: "remove the key: clients of MQTT name the topic themselves; mqtt.publish says which they may"})
		}
	}
	if l.MQTT == nil {
		return
	}
	path = join(path, "mqtt")
	if l.Frame != FrameMQTT {
		k.add(path, Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Expected: "frame: " + FrameMQTT, Fix: "remove the key, or make it an MQTT listener"})
		return
	}
	for i, pattern := range l.MQTT.Subscribe {
		k.pattern(join(path, fmt.Sprintf("subscribe.%d", i)), pattern)
	}
	for i, pattern := range l.MQTT.Publish {
		k.pattern(join(path, fmt.Sprintf("publish.%d", i)), pattern)
	}
}

// sharedMQTT finds listeners that ask for other bounds of what all MQTT listeners
// have together than the first one, whose bounds hold.
func (k *checker) sharedMQTT() {
	first := -1
	for i := range k.c.Listeners {
		l := &k.c.Listeners[i]
		if l.Frame != FrameMQTT || l.MQTT == nil {
			continue
		}
		if first < 0 {
			first = i
			continue
		}
		holds := k.c.Listeners[first].MQTT
		for _, bound := range []struct {
			key         string
			value, held fmt.Stringer
		}{
			{"queue.total", l.MQTT.Queue.Total, holds.Queue.Total},
			{"retained.messages", count(l.MQTT.Retained.Messages), count(holds.Retained.Messages)},
			{"retained.size", l.MQTT.Retained.Size, holds.Retained.Size},
		} {
			key := fmt.Sprintf("listeners.%d.mqtt.%s", i, bound.key)
			if bound.value == bound.held || !k.c.says(key) {
				continue
			}
			at := fmt.Sprintf("listeners.%d.mqtt.%s", first, bound.key)
			found := fmt.Sprintf("%s in %s", bound.held, k.c.readable(at))
			if place := k.c.Place(at); place.Line > 0 {
				found += ", " + place.String()
			}
			k.add(key, Problem{Cause: "has no effect", Value: bound.value.String(), Found: found,
				Fix: fmt.Sprintf("write it at %s alone: all MQTT listeners share it, and the first one's value holds", k.c.readable(fmt.Sprintf("listeners.%d", first)))})
		}
	}
}

// count is a number of things.
type count int

func (n count) String() string { return strconv.Itoa(int(n)) }
