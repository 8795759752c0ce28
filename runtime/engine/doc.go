// Package engine holds weft's event loops: it accepts connections, reads their
// bytes, hands them to a Handler, and writes what the handler sends. It knows
// bytes and nothing of messages.
//
// # A turn
//
// Each loop is a world of its own: one goroutine that owns its connections, its
// buffers and its Handler. It repeats one turn for ever: wait for events, read
// every ready connection into the turn's arena and call Handler.Data for each,
// then Handler.Turn once, then write every connection that something was sent to
// once. Bytes handed to the handler and units handed to Conn.Send are borrowed,
// not copied, and stay valid until the turn ends; only what the socket did not
// take is copied into the connection's outbox. In steady state a turn neither
// locks nor allocates.
//
// # Two drivers
//
// On Linux a loop waits in epoll for sockets of its own. Elsewhere, and for
// listeners with Wrap or Listener set (TLS), a goroutine per connection reads
// through package net and posts to the loop. Handlers see no difference.
//
// # Who may call what
//
// Methods of Engine may be called from any goroutine. Methods of Loop and Conn
// belong to their loop's goroutine: inside a Handler's methods, or in a function
// run by Engine.Do. A Conn must not be touched by another loop; other loops
// address it by its ConnID through Loop.SendTo and Loop.Hold.
package engine
