// Package modbus is the client's side of Modbus: devices that weft polls, writes
// to, and passes requests on to. A Device owns one connection and one goroutine;
// requests reach it through a bounded queue, and each is answered exactly once.
//
// Frames are another's business: a Codec cuts and writes them. The server's side
// of the protocol is in package server, for it answers on the loop.
package modbus
