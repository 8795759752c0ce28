// The conformance guest: abi/vectors/README.md says what it does.
package main

import (
	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/json"
)

func init() { weft.Register(&conformance{}) }

func main() {}

type conformance struct {
	needs    weft.Needs
	commands []configured
	count    uint64
	sent     uint64 // the token of the last request that was begun
}

// configured is the commands that the configuration has for a hook.
type configured struct{ hook, commands string }

func (c *conformance) Init(config []byte) error {
	doc, err := json.Parse(config)
	if err != nil {
		return err
	}
	if text, ok := doc.Get("error").Text(); ok {
		return weft.Error(text)
	}
	if trap, _ := doc.Get("trap").Bool(); trap {
		panic("init was told to trap")
	}
	c.needs = weft.NeedsEverything()
	if n := doc.Get("needs"); n.Exists() {
		c.needs = needs(n)
	}
	for _, hook := range [...]string{"messages", "open", "close", "tick", "resume"} {
		if text, ok := doc.Get(hook).Text(); ok {
			c.commands = append(c.commands, configured{hook, text})
		}
	}
	c.commands = append(c.commands, configured{"resume", "echo"}) // where it has none
	return nil
}

// needs is what the object of the configuration asks for.
func needs(v json.Value) weft.Needs {
	wants := func(key string) bool {
		wanted, _ := v.Get(key).Bool()
		return wanted
	}
	n := weft.NeedsNothing()
	if wants("topic") {
		n = n.Topic()
	}
	if wants("attributes") {
		n = n.Attributes()
	}
	if wants("context") {
		n = n.Context()
	}
	if wants("listener") {
		n = n.Listener()
	}
	switch bytes, _ := v.Get("payload").Int64(); bytes {
	case -1:
		n = n.WholePayload()
	default:
		n = n.Payload(uint32(bytes))
	}
	v.Get("without").Items().All(func(hook json.Value) bool {
		name, _ := hook.Text()
		switch name {
		case "messages":
			n = n.Without(weft.HookMessages)
		case "open":
			n = n.Without(weft.HookOpen)
		case "close":
			n = n.Without(weft.HookClose)
		case "tick":
			n = n.Without(weft.HookTick)
		case "resume":
			n = n.Without(weft.HookResume)
		}
		return true
	})
	return n
}

func (c *conformance) Needs() weft.Needs { return c.needs }

func (c *conformance) Message(m *weft.Message) weft.Verdict { return c.run("messages", m, true) }

func (c *conformance) Open(m *weft.Message) weft.Verdict { return c.run("open", m, true) }

func (c *conformance) Close(m *weft.Message) { c.run("close", m, false) }

func (c *conformance) Tick(m *weft.Message) { c.run("tick", m, false) }

func (c *conformance) Resume(m *weft.Message) weft.Verdict {
	return c.run("resume", m, true)
}

func (c *conformance) Snapshot() []byte { return decimal(c.count) }

func (c *conformance) Restore(state []byte) error {
	if len(state) < 1 || len(state) > 18 {
		return weft.Error("not a count")
	}
	c.count = 0
	for _, d := range state {
		if d < '0' || d > '9' {
			return weft.Error("not a count")
		}
		c.count = c.count*10 + uint64(d-'0')
	}
	return nil
}
