//go:build tools

package main

// nats-server is a program: find builds it from the module's own requirements,
// and this import, which is never compiled, keeps it among them.
import _ "github.com/nats-io/nats-server/v2"
