package main

import (
	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/kv"
	"github.com/weftrun/weft/abi/sdk/tinygo/log"
)

func init() { weft.Register(loud{}) }

func main() {}

// loud calls two host functions.
type loud struct{}

func (loud) Init([]byte) error { return nil }

func (loud) Message(m *weft.Message) weft.Verdict {
	if _, ok, _ := kv.Get(m.Topic()); !ok {
		log.Info("no such key")
	}
	return weft.Continue()
}
