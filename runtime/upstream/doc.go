// Package upstream is pools of services that weft sends messages to: which members
// a pool has, which of them a message goes to, when it is tried again, and when a
// member is left alone. It knows no wire: whoever does calls [Pool.Do] with a
// function that takes the message to the member that it is given.
//
//	pool, err := upstream.New(upstream.Options{Name: "billing", Members: members, Logger: logger})
//	go pool.Run(ctx)
//	err = pool.Do(ctx, key, func(ctx context.Context, m *upstream.Member) error {
//		return send(ctx, m.Address(), payload)
//	})
//
// A pool has three parts that know little of each other:
//
//   - who is there: a fixed list, DNS ([Host], [Service]), Consul (package consul),
//     or anything else that is a [Discoverer];
//   - who may be picked: a member is left out while its breaker is open, while it is
//     ejected, or while its checks fail. Whoever may be picked is in a snapshot that
//     [Pool.Pick] reads without a lock and without an allocation;
//   - what a call may cost: tries, their timeouts, the pauses between them, the
//     budget of retries, the rate.
//
// Time is package time's, and there is no clock to inject: the breaker's and the
// rate's libraries would not follow it. Tests run in testing/synctest's bubbles.
package upstream
