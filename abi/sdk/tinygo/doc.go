// Package weft is for plugins of the weft message router, in Go: one method over
// one message.
//
//	package main
//
//	import weft "github.com/weftrun/weft/abi/sdk/tinygo"
//
//	type router struct{}
//
//	func (*router) Init(config []byte) error { return nil }
//
//	func (*router) Message(m *weft.Message) weft.Verdict {
//		truck, ok := m.ContextString("identity")
//		if !ok {
//			return weft.Drop("no identity")
//		}
//		m.SetTopic("truck/", truck, "/telemetry")
//		return weft.Continue()
//	}
//
//	func init() { weft.Register(&router{}) }
//
//	func main() {}
//
// TinyGo and Go's own compiler build the same source; README.md has both
// commands. What weft offers beyond messages is in the packages log, metrics,
// clock, random, kv and http; a module imports only what it calls, and the operator
// must grant that. Package json reads configurations and payloads. Package
// wefttest runs a plugin in an ordinary test, without weft.
//
// # How long bytes live
//
// Strings and slices that a [Message] gives out lie in a buffer that the next
// call overwrites: they are valid until the method that was given the message
// returns. Copy what is to be kept. What Init and Restore are given is the
// plugin's own.
//
// # One thread
//
// Weft makes one instance for each event loop that uses the plugin, and never
// calls an instance twice at a time. That is why this package keeps its state in
// variables, and why none of it is made for goroutines: a plugin must not start
// any.
package weft
