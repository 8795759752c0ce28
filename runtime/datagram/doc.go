// Package datagram is the protocol of mcp-dgram: messages over UDP that arrive once
// and, within their channel, in order. PROTOCOL.md says what travels; this package
// is both ends of it as a state machine, Conn, that does no I/O and reads no clock,
// and the Door, which lets strangers in without keeping anything about them.
//
// A Conn is driven so: every datagram that arrives goes into Receive; Send queues
// messages; Flush hands out what is to be sent now, once after a batch of both; when
// the time that Deadline answers has come, Expire and again Flush are called.
package datagram
