// Package mqtt is the state of MQTT 3.1.1 and 5.0 sessions, without the wire: what
// is on its way to a client and from it, wills, retained messages, shared
// subscriptions, topic aliases. It is pure: no input or output, no goroutine, no
// clock; times come in as nanoseconds since 1970-01-01 UTC. A Store and
// what is made with it belong to one event loop; Budget, Retained and Shared are
// the process's and safe for all.
//
// # One value a process
//
//	NewBudget(bytes int64) *Budget                           // memory of all sessions
//	NewRetained(limits RetainedLimits) *Retained
//	NewShared(most int) *Shared
//
// # One value a loop
//
//	NewStore(budget *Budget) *Store                          // messages and queues
//	NewClients(most int) *Clients                            // sessions by principal and client id
//	NewAway() *Away                                          // sessions without a connection, by when something is due
//
// # One value a session
//
//	NewSession(store *Store, id uint64, limits *Limits) *Session
//
// # The way of a connection
//
//	start := Begin5(clean, expiry, bound)                    // or Begin3
//	s := clients.Find(key)
//	if s != nil && s.Online() { close the old one (0x8E); away.Leave(s, its expiry, now) }
//	if s != nil && start.Clean { away.End(s, now) }
//	for due, ok := away.Due(now); ok; ... { publish due.Will; if due.Ended { unsubscribe, s.Release, s.End, clients.Remove } }
//	s = clients.Find(key)                                    // may be gone now
//	present := start.Present(s != nil)
//	if s == nil { s = NewSession(...); clients.Put(key, s) } else { away.Return(s) }
//	s.SetWill(will, delay)                                   // if it has one
//	write CONNACK
//	s.Attach(link); for o, ok := s.Next(now); ok; ... { write o }
//	...
//	s.DropWill()                                             // DISCONNECT 0x00 only
//	away.Leave(s, expiry, now); Due as above
//
// # The way of a message to a client
//
//	switch s.Offer(m, copy, now) {                           // keeps what it needs
//	case Direct: write it                                    // QoS 0
//	case Taken:  for o, ok := s.Next(now); ok; ... { write o }
//	default:     it was dropped and counted
//	}
//	s.Puback(id, refused); s.Pubrec(id, refused); s.Pubcomp(id)   // then Next again
//
// Packets of one session are written with one priority: the order in which Next
// gives them is the order that MQTT asks for (section 4.6).
//
// # The way of a message from a client
//
//	seq, receipt := s.Receive(id, qos)                       // New: enter it with Seq: seq
//	s.Done(seq, code)                                        // when its way has ended
//	for a, ok := s.NextAck(); ok; ... { write PUBACK or PUBREC }
//	known := s.Pubrel(id)                                    // then PUBCOMP
package mqtt
