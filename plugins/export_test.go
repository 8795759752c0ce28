package plugins

// Compile takes the turn to compile, as Load does, until done is called.
func (e *Env) Compile() (done func()) {
	e.compiling <- struct{}{}
	return func() { <-e.compiling }
}
