package mqtt

import "strings"

// What a session and its subscriptions take beside messages is not stored here, but by
// who has the sessions and the table of patterns; these are the figures to Take for it.
// They are what was measured of filters that have no level in common, so that they are
// rather too large.
const (
	sessionCost      = 1024 // the records, the places in tables, a presence
	subscriptionCost = 96   // the record, the receiver or the member of a group
	levelCost        = 112  // a node of the table of patterns
)

// SessionCost is what a session takes that is remembered for its client.
func SessionCost(key Key) int { return sessionCost + len(key.Principal) + len(key.ClientID) }

// SubscriptionCost is what a subscription takes. A filter of 64 KiB counts in full, and
// so do 128 levels of one byte.
func SubscriptionCost(filter string) int {
	return subscriptionCost + len(filter) + levelCost*(1+strings.Count(filter, "/"))
}
