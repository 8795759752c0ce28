package config

// Sessions is about sessions that outlive their connection.
type Sessions struct {
	// TTL is for how long what a client has outlives its connection, where its listener
	// does not say otherwise: of a client of frames with a name, its subscriptions and
	// what plugins know about it; of one of MQTT 3.1.1 whose session is not clean, the
	// session. A client of MQTT 5 says itself how long it wants. 0 is not at all.
	TTL Duration `koanf:"ttl" yaml:"ttl" default:"1800s" min:"0s" max:"8760h"`
	// Count is how many clients of frames are remembered that are away. The one that has
	// the least time left makes room for another. MQTT has bounds of its own.
	Count int `koanf:"count" yaml:"count" default:"100000" min:"1" max:"10000000"`
	// Size is how much memory they may take together.
	Size Size `koanf:"size" yaml:"size" default:"64MiB" min:"4KiB" max:"64GiB"`
}

// ListenerSession is what a listener says of sessions itself.
type ListenerSession struct {
	// TTL is Sessions.TTL for the clients of this listener.
	TTL Duration `koanf:"ttl" yaml:"ttl" required:"true" min:"0s" max:"8760h"`
}

// SessionTTL is for how long what a client of the listener has outlives its connection.
// For MQTT it is at most mqtt.session.expiry_max.
func (c *Config) SessionTTL(l *Listener) Duration {
	ttl := c.Session.TTL
	if l.Session != nil {
		ttl = l.Session.TTL
	}
	if l.MQTT != nil {
		ttl = min(ttl, l.MQTT.Session.ExpiryMax)
	}
	return ttl
}

// session checks what a listener says of sessions.
func (k *checker) session(path string, l *Listener) {
	if l.Session == nil {
		return
	}
	path = join(path, "session")
	switch {
	case l.IsModbus():
		k.add(path, Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Fix: "remove the key: clients of Modbus have no name, and nothing of them is remembered"})
	case l.MQTT != nil && l.Session.TTL > l.MQTT.Session.ExpiryMax:
		k.add(join(path, "ttl"), Problem{Cause: "out of range", Value: l.Session.TTL.String(),
			Expected: "at most mqtt.session.expiry_max, which is " + l.MQTT.Session.ExpiryMax.String(), Fix: "make one shorter or the other longer"})
	}
}
