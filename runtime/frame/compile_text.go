package frame

import (
	"fmt"
	"strconv"
	"strings"
)

// text compiles a frame that ends in a delimiter.
func (c *compiler) text() {
	t := c.d.Text
	if n := len(t.Delimiter); n < 1 || n > 8 {
		c.add("text.delimiter", fmt.Sprintf("%d bytes", n), `1 to 8 bytes, such as "\n"`, "")
	}
	for n := 1; n < len(t.Delimiter); n++ {
		if t.Delimiter[:n] == t.Delimiter[len(t.Delimiter)-n:] {
			c.add("text.delimiter", strconv.Quote(t.Delimiter), "bytes that do not end as they begin",
				"its place would be ambiguous behind a payload that ends in "+strconv.Quote(t.Delimiter[:n]))
			break
		}
	}
	if len(t.Trim) > 8 {
		c.add("text.trim", fmt.Sprintf("%d bytes", len(t.Trim)), `at most 8 bytes, such as "\r"`, "")
	}
	if t.Trim != "" && strings.Contains(t.Trim, t.Delimiter) && t.Delimiter != "" {
		c.add("text.trim", strconv.Quote(t.Trim), "bytes without the delimiter", "")
	}
	if t.Embedded != "" {
		c.oneOf("text.embedded", t.Embedded, "refuse", "space")
	}
	if t.Embedded == "space" && strings.Contains(t.Delimiter, " ") {
		c.add("text.embedded", "space, and a delimiter with a space in it", "refuse", "")
	}
	if c.f.recover != recoverClose {
		c.add("recover", c.d.Recover, "close", "text that is too long has no end to go on behind")
	}
	if c.d.Heartbeat != nil {
		c.add("heartbeat", "a heartbeat in a text frame", "none", "")
	}
	c.f.text = &textRules{
		delimiter: []byte(t.Delimiter),
		trim:      []byte(t.Trim),
		space:     t.Embedded == "space",
		embedded:  &Fault{EmbeddedDelimiter, c.name, "", fmt.Sprintf("expected a payload without %q inside", t.Delimiter)},
	}
	c.f.trailer = len(t.Delimiter)
}
