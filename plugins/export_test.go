package plugins

import "github.com/weftrun/weft/abi"

// Compile takes the turn to compile, as Load does, until done is called.
func (e *Env) Compile() (done func()) {
	e.compiling <- struct{}{}
	return func() { <-e.compiling }
}

// Own copies a message as it is held.
func Own(m *abi.Message) abi.Message { return own(m) }
