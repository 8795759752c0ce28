package packet

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	ID uint16
	// Properties may have one SubscriptionIdentifier; it is for every filter.
	Properties Properties
	// Filters has at least one. Decode reuses the slice; filters alias the input.
	Filters []Subscription
}

// Subscription is a filter with its options. In 3.1.1 there is only the QoS.
type Subscription struct {
	Filter []byte
	// QoS is the highest to deliver with: 0, 1 or 2.
	QoS               uint8
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    RetainHandling
}

// RetainHandling says when a subscription is sent the retained messages.
type RetainHandling uint8

// When retained messages are sent (section 3.8.3.1).
const (
	RetainAlways RetainHandling = 0 // at every SUBSCRIBE
	RetainIfNew  RetainHandling = 1 // only if the subscription was not there
	RetainNever  RetainHandling = 2
)

// Decode reads one whole SUBSCRIBE, as Cut found it, and sets every field of s.
// A packet of n bytes gives at most n/4 filters.
func (s *Subscribe) Decode(b []byte, v Version) error {
	*s = Subscribe{Filters: s.Filters[:0]}
	r := newReader(b, TypeSubscribe, v)
	s.ID = r.id()
	s.Properties = r.properties(TypeSubscribe, FromClient)
	if len(r.b) == 0 {
		r.fail(ProtocolError, "MQTT-3.8.3-2", "MQTT-3.8.3-3", "there is no topic filter")
	}
	for r.m == nil && len(r.b) > 0 {
		one := Subscription{Filter: r.filter()}
		one.decodeOptions(&r)
		s.Filters = append(s.Filters, one)
	}
	return r.end()
}

// filter is a topic filter of a SUBSCRIBE or UNSUBSCRIBE.
func (r *reader) filter() []byte {
	s5 := "MQTT-3.8.3-1"
	if r.t == TypeUnsubscribe {
		s5 = "MQTT-3.10.3-1"
	}
	filter := r.text(s5, s5, "a topic filter")
	if r.m != nil {
		return nil
	}
	r.checkFilter(filter)
	return filter
}

func (r *reader) checkFilter(filter []byte) {
	group, _, shared, ok := ParseShare(filter)
	switch wrong := filterFault(filter); {
	case len(filter) == 0:
		r.fail(TopicFilterInvalid, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "a topic filter is empty")
	case wrong == '#':
		r.fail(TopicFilterInvalid, "MQTT-4.7.1-1", "MQTT-4.7.1-2", "# in a topic filter is not the whole last level")
	case wrong == '+':
		r.fail(TopicFilterInvalid, "MQTT-4.7.1-2", "MQTT-4.7.1-3", "+ in a topic filter is not a whole level")
	case r.v == V5 && shared && len(group) == 0:
		r.fail(TopicFilterInvalid, "MQTT-4.8.2-1", "", "the name of a shared subscription is empty")
	case r.v == V5 && !ok:
		r.fail(TopicFilterInvalid, "MQTT-4.8.2-2", "", "a shared subscription is not $share/NAME/FILTER")
	}
}

func (s *Subscription) decodeOptions(r *reader) {
	options := r.byte()
	if r.m != nil {
		return
	}
	s.QoS = options & 0x03
	if r.v == V5 {
		s.NoLocal = options&0x04 != 0
		s.RetainAsPublished = options&0x08 != 0
		s.RetainHandling = RetainHandling(options >> 4 & 0x03)
	}
	_, _, shared, _ := ParseShare(s.Filter)
	switch {
	case r.v == V5 && options&0xC0 != 0 || r.v != V5 && options&0xFC != 0:
		r.fail(MalformedPacket, "MQTT-3.8.3-5", "MQTT-3-8.3-4", "reserved bits of the subscription options are set")
	case s.QoS == 3:
		r.fail(ProtocolError, "3.8.3.1", "MQTT-3-8.3-4", "QoS 3 is reserved")
	case s.RetainHandling == 3:
		r.fail(ProtocolError, "3.8.3.1", "", "retain handling 3 is reserved")
	case shared && s.NoLocal:
		r.fail(ProtocolError, "MQTT-3.8.3-4", "", "no local is set on a shared subscription")
	}
}

// options is the byte behind the filter.
func (s *Subscription) options(v Version) byte {
	options := s.QoS & 0x03
	if v != V5 {
		return options
	}
	if s.NoLocal {
		options |= 0x04
	}
	if s.RetainAsPublished {
		options |= 0x08
	}
	return options | byte(s.RetainHandling)&0x03<<4
}

// AppendSubscribe adds s to dst. What 3.1.1 does not have is left out for it. A
// filter of more than 65,535 bytes adds nothing at all.
func AppendSubscribe(dst []byte, s *Subscribe, v Version) []byte {
	n := 2 + sizeProperties(s.Properties, v)
	for i := range s.Filters {
		n += 3 + len(s.Filters[i].Filter)
		if len(s.Filters[i].Filter) > 0xFFFF {
			return dst
		}
	}
	if n > MaxRemaining {
		return dst
	}
	dst = appendUint16(appendVarint(append(dst, TypeSubscribe.first()), n), s.ID)
	dst = appendProperties(dst, s.Properties, v)
	for i := range s.Filters {
		dst = append(appendBytes(dst, s.Filters[i].Filter), s.Filters[i].options(v))
	}
	return dst
}
