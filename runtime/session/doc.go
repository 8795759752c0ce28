// Package session knows who is connected: for each session its identity, its
// subscriptions and a small context, and for the whole process which session
// holds which name and who belongs to which queue group.
//
// A Session belongs to the loop of its connection: its methods are called on
// that loop's goroutine only. A Registry belongs to everybody: Lookup, Queue,
// Group.Next, Names and the counters take no lock and allocate nothing, changes
// take a short one.
//
//	New(id uint64, listener uint32, since int64, remote netip.AddrPort) *Session
//	(*Session).ID() uint64; Listener() uint32; Since() int64; Remote() netip.AddrPort; Name() string
//	(*Session).Context() abi.Attributes; SetContext(block abi.Attributes) error
//	(*Session).Subscriptions() []string; Queues() []string
//
//	NewRegistry(topics *router.Trie[router.Subscriber], limits Limits) *Registry
//	(*Registry).Topics() *router.Trie[router.Subscriber]
//	(*Registry).Claim(s *Session, name []byte, policy Policy) (holder uint64, err error)
//	(*Registry).Lookup(name []byte) (id uint64, ok bool)
//	(*Registry).Names(visit func(name string, id uint64) bool)
//	(*Registry).Subscribe(s *Session, pattern string) (added bool, err error)
//	(*Registry).Unsubscribe(s *Session, pattern string) (removed bool)
//	(*Registry).Join(s *Session, queue string) error; Leave(s *Session, queue string) bool
//	(*Registry).Queue(name []byte) *Group; (*Group).Turn() uint64; (*Group).Member(turn uint64) (id uint64, ok bool); (*Group).Len() int
//	(*Registry).Close(s *Session)      // gives back the name, the subscriptions, the queues
//	(*Registry).Stats() Stats
//
// The id is the connection's for now. Nothing outside New assumes that, so that
// a session can later outlive its connection.
package session
