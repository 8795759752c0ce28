package plugins

import "github.com/weftrun/weft/abi"

// Convert has convert called with every message that is about to reach the plugin at
// that place, as Plugin counts: it may set the payload and attributes to others, which
// must stay as they are until the run ends. Where it answers an error, the plugin's
// policy decides in the plugin's stead, with CauseConversion: open lets the message
// pass the plugin by.
//
// Call it before the first run. What a session's opening, its end and ticks are about
// has no payload and is not converted.
func (c *Chain) Convert(i int, convert func(m *abi.Message) error) { c.hops[i].convert = convert }

// convert converts the messages that were collected for the hop. It tells whether any
// is left.
func (c *Chain) convert(h *hop, b *Batch) bool {
	left := c.live[:0]
	for n, i := range c.live {
		if err := h.convert(&b.Messages[i]); err != nil {
			c.answerFor(h.live, b, c.live[n:n+1], CauseConversion, err.Error())
			continue
		}
		b.Outcomes[i].Changes |= abi.ChangedPayload | abi.ChangedAttrs
		left = append(left, i)
	}
	c.live = left
	return len(left) > 0
}
