package datagram

// A receiver puts messages of several records together, one a channel at a time, and
// bounds what that takes. So a sender begins only as many as PROTOCOL.md allows, and
// the channels whose next message is one too many wait in line, each for its turn.
// Messages of one record, and those that were begun, go on meanwhile.

// begin notes that a channel begins the message that is to be sent next, if it is of
// one record or may begin.
func (c *Conn) begin(ch *channel) bool {
	p := ch.unsent
	if p.long == 0 {
		return true
	}
	others, longest := c.begun-ch.begun, max(ch.begun, p.long)
	if others > 0 && others+longest > c.bytes {
		return false
	}
	c.begun = others + longest
	ch.begun = longest
	part := c.room() - HeaderSize
	ch.begunEnd = p.first + uint32((p.long+part-1)/part) - 1
	p.long = 0
	return true
}

// admit lets channels begin that wait in line, the first one first.
func (c *Conn) admit() {
	for len(c.line) > 0 && c.begin(c.line[0]) {
		c.ready = append(c.ready, c.line[0])
		c.line = shift(c.line)
	}
}

// ended notes that everything up to seq was acknowledged.
func (c *Conn) ended(ch *channel, seq uint32) {
	if ch.begun > 0 && !before(seq, ch.begunEnd) {
		c.begun -= ch.begun
		ch.begun = 0
	}
}

// continues tells whether what was sent last goes on in what is to be sent next.
func (ch *channel) continues() bool { return ch.begun > 0 && !before(ch.begunEnd, ch.next) }

// shift takes the first off a list.
func shift(list []*channel) []*channel {
	last := len(list) - 1
	copy(list, list[1:])
	list[last] = nil
	return list[:last]
}
