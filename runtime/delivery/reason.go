package delivery

import "iter"

// Reason is why a message, or one copy of it, was not delivered.
type Reason uint8

// The reasons. Their names are the values of the label "reason" in metrics.
const (
	// BadFrame: what was received is no frame of the listener's format.
	BadFrame Reason = iota
	// BadTopic: the message's topic is malformed.
	BadTopic
	// NoTopic: a placeholder of the listener's topic has no value.
	NoTopic
	// UnsafeTopic: a placeholder's value would have reached beyond its level.
	UnsafeTopic
	// PluginDrop: a plugin said drop.
	PluginDrop
	// PluginClose: a plugin closed the session.
	PluginClose
	// PluginTrap: a plugin trapped on the message and its policy is closed.
	PluginTrap
	// PluginFault: a plugin's answer broke the contract and its policy is closed.
	PluginFault
	// PluginFuel: a plugin used up its CPU budget on the message and its policy is
	// closed.
	PluginFuel
	// PluginDepth: a plugin nested its calls too deep on the message and its
	// policy is closed.
	PluginDepth
	// PluginUnavailable: a plugin is in back-off and its policy is closed.
	PluginUnavailable
	// HoldFull: the message had to wait for a plugin's asynchronous call, its own
	// or that of one before it, and the chain holds as much as it may.
	HoldFull
	// SessionEnded: the message waited so when its session ended.
	SessionEnded
	// Conversion: the payload could not be converted and the policy is closed.
	Conversion
	// BadDestination: a destination's text or name is malformed.
	BadDestination
	// NoRoute: no destination is left after the rules were asked.
	NoRoute
	// NoSubscriber: no subscription matches the topic.
	NoSubscriber
	// NoNode: nobody holds the node's name.
	NoNode
	// NoMember: the queue group has no member that takes the message.
	NoMember
	// NoUpstream: the upstream pool is not there, or no member of it is.
	NoUpstream
	// UpstreamFull: as much waits for the pool as may, or its rate is used up.
	UpstreamFull
	// UpstreamRefused: a member of the pool has said no to the message.
	UpstreamRefused
	// UpstreamTimeout: no member of the pool has answered in time.
	UpstreamTimeout
	// UpstreamFailed: the pool's members have failed otherwise.
	UpstreamFailed
	// NoReply: the message has no session to reply to, or it is gone.
	NoReply
	// OutboxFull: the receiver is slow and its listener drops.
	OutboxFull
	// Closed: the receiver's connection closed.
	Closed
	// LoopBusy: the queue to the receiver's loop is full.
	LoopBusy
	// Unencodable: the message does not fit the receiver's frame format.
	Unencodable
	// RequestBusy: too many requests wait for the receiver's answers.
	RequestBusy
	// RequestTimeout: the request was not answered in time.
	RequestTimeout
	// RequestLost: the receiver's connection closed before it answered.
	RequestLost
	// UnmatchedResponse: nobody asked for the response.
	UnmatchedResponse
	// LateResponse: the response came after its request had timed out, or
	// after another receiver had answered.
	LateResponse
	// Draining: the process is ending.
	Draining
	// SessionFull: what waits for the receiver's session is as much as may wait.
	SessionFull
	// SessionAway: the receiver's client is away, and the message is none that
	// waits for it.
	SessionAway
	// Expired: the message's time was up before it could be delivered.
	Expired
	// TooLarge: the receiver takes no packet of that size.
	TooLarge
	// NotAllowed: the listener does not allow the sender to publish there.
	NotAllowed
	// LogFull: the durable route's log holds as much as it may, and keeps that.
	LogFull
	// LogBusy: too many messages wait for the log's answer.
	LogBusy
	// LogAway: the log did not take the message: the backbone cannot be reached, or
	// it failed.
	LogAway
	// DeadLetterLost: a dead letter that could not be delivered.
	DeadLetterLost
	// LinkFull: more messages wait for other nodes than may wait.
	LinkFull
	// Internal: a fault of weft itself.
	Internal

	// NumReasons is how many reasons there are.
	NumReasons = int(iota)
)

var reasonNames = [NumReasons]string{
	BadFrame:          "bad_frame",
	BadTopic:          "bad_topic",
	NoTopic:           "no_topic",
	UnsafeTopic:       "unsafe_topic",
	PluginDrop:        "plugin_drop",
	PluginClose:       "plugin_close",
	PluginTrap:        "plugin_trap",
	PluginFault:       "plugin_fault",
	PluginFuel:        "plugin_fuel",
	PluginDepth:       "plugin_depth",
	PluginUnavailable: "plugin_unavailable",
	HoldFull:          "hold_full",
	SessionEnded:      "session_ended",
	Conversion:        "conversion",
	BadDestination:    "bad_destination",
	NoRoute:           "no_route",
	NoSubscriber:      "no_subscriber",
	NoNode:            "no_node",
	NoMember:          "no_member",
	NoUpstream:        "no_upstream",
	UpstreamFull:      "upstream_full",
	UpstreamRefused:   "upstream_refused",
	UpstreamTimeout:   "upstream_timeout",
	UpstreamFailed:    "upstream_failed",
	NoReply:           "no_reply",
	OutboxFull:        "outbox_full",
	Closed:            "closed",
	LoopBusy:          "loop_busy",
	Unencodable:       "unencodable",
	RequestBusy:       "request_busy",
	RequestTimeout:    "request_timeout",
	RequestLost:       "request_lost",
	UnmatchedResponse: "unmatched_response",
	LateResponse:      "late_response",
	Draining:          "draining",
	SessionFull:       "session_full",
	SessionAway:       "session_away",
	Expired:           "expired",
	TooLarge:          "too_large",
	NotAllowed:        "not_allowed",
	LogFull:           "log_full",
	LogBusy:           "log_busy",
	LogAway:           "log_away",
	DeadLetterLost:    "dead_letter_lost",
	LinkFull:          "link_full",
	Internal:          "internal",
}

// String is the reason's name in metrics, logs and dead letters.
func (r Reason) String() string {
	if int(r) < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons yields every reason in order.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := range Reason(NumReasons) {
			if !yield(r) {
				return
			}
		}
	}
}
