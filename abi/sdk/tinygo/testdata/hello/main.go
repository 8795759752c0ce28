package main

import weft "github.com/weftrun/weft/abi/sdk/tinygo"

func init() { weft.Register(greeter{}) }

func main() {}

type greeter struct{}

func (greeter) Init(config []byte) error { return nil }

func (greeter) Message(m *weft.Message) weft.Verdict {
	if m.PayloadTotal() == 0 {
		return weft.Drop("empty")
	}
	m.SetTopic("hello/", m.Topic())
	return weft.Continue()
}
