// Package websocket turns WebSocket (RFC 6455, protocol version 13) into a plain
// stream of bytes and back, for a server that owns its event loop: it reads and
// writes no socket, starts no goroutine and keeps no buffer.
//
// # Upgrade
//
// ParseRequest cuts the HTTP request off the bytes of a new connection, within hard
// bounds. Site.Check says whether it may become a WebSocket; AppendAccept or
// AppendRefusal is the answer.
//
// # Frames
//
// Reader.Unwrap unmasks a connection's bytes where they are and moves the payloads
// together, so that what the application sees is one run of bytes. What it did
// not use of them stays where it is, in front of the bytes that are still wrapped;
// Reader.Keep says how much of it all is dealt with. The connection's own buffer is
// thus the only one. A frame of any length streams through: it is never waited
// for.
//
// Outgoing, Append makes a message of one unit. Nothing is masked, split or
// compressed: permessage-deflate is declined by not being answered.
package websocket
