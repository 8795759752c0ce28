package packet

import "strings"

// Code is a reason code of MQTT 5.0 (section 2.4). Codes below 0x80 say that it
// went well.
type Code uint8

// The reason codes. Success, NormalDisconnection and GrantedQoS0 are one value.
const (
	Success                     Code = 0x00
	NormalDisconnection         Code = 0x00
	GrantedQoS0                 Code = 0x00
	GrantedQoS1                 Code = 0x01
	GrantedQoS2                 Code = 0x02
	DisconnectWithWill          Code = 0x04
	NoMatchingSubscribers       Code = 0x10
	NoSubscriptionExisted       Code = 0x11
	ContinueAuthentication      Code = 0x18
	Reauthenticate              Code = 0x19
	UnspecifiedError            Code = 0x80
	MalformedPacket             Code = 0x81
	ProtocolError               Code = 0x82
	ImplementationSpecificError Code = 0x83
	UnsupportedProtocolVersion  Code = 0x84
	ClientIdentifierNotValid    Code = 0x85
	BadUserNameOrPassword       Code = 0x86
	NotAuthorized               Code = 0x87
	ServerUnavailable           Code = 0x88
	ServerBusy                  Code = 0x89
	Banned                      Code = 0x8A
	ServerShuttingDown          Code = 0x8B
	BadAuthenticationMethod     Code = 0x8C
	KeepAliveTimeout            Code = 0x8D
	SessionTakenOver            Code = 0x8E
	TopicFilterInvalid          Code = 0x8F
	TopicNameInvalid            Code = 0x90
	PacketIdentifierInUse       Code = 0x91
	PacketIdentifierNotFound    Code = 0x92
	ReceiveMaximumExceeded      Code = 0x93
	TopicAliasInvalid           Code = 0x94
	PacketTooLarge              Code = 0x95
	MessageRateTooHigh          Code = 0x96
	QuotaExceeded               Code = 0x97
	AdministrativeAction        Code = 0x98
	PayloadFormatInvalid        Code = 0x99
	RetainNotSupported          Code = 0x9A
	QoSNotSupported             Code = 0x9B
	UseAnotherServer            Code = 0x9C
	ServerMoved                 Code = 0x9D
	SharedNotSupported          Code = 0x9E
	ConnectionRateExceeded      Code = 0x9F
	MaximumConnectTime          Code = 0xA0
	IdentifiersNotSupported     Code = 0xA1
	WildcardsNotSupported       Code = 0xA2
)

// Failed tells whether the code says that something did not happen.
func (c Code) Failed() bool { return c >= 0x80 }

// String is the code's name in words; in a DISCONNECT, 0x00 is the normal one.
func (c Code) String() string {
	switch c {
	case Success:
		return "success"
	case GrantedQoS1:
		return "granted QoS 1"
	case GrantedQoS2:
		return "granted QoS 2"
	case DisconnectWithWill:
		return "disconnect with will message"
	case NoMatchingSubscribers:
		return "no matching subscribers"
	case NoSubscriptionExisted:
		return "no subscription existed"
	case ContinueAuthentication:
		return "continue authentication"
	case Reauthenticate:
		return "re-authenticate"
	}
	if i := int(c) - 0x80; i >= 0 && i < len(failures) {
		return failures[i]
	}
	return "unknown reason"
}

var failures = [...]string{
	"unspecified error", "malformed packet", "protocol error", "implementation specific error",
	"unsupported protocol version", "client identifier not valid", "bad user name or password", "not authorized",
	"server unavailable", "server busy", "banned", "server shutting down",
	"bad authentication method", "keep alive timeout", "session taken over", "topic filter invalid",
	"topic name invalid", "packet identifier in use", "packet identifier not found", "receive maximum exceeded",
	"topic alias invalid", "packet too large", "message rate too high", "quota exceeded",
	"administrative action", "payload format invalid", "retain not supported", "QoS not supported",
	"use another server", "server moved", "shared subscriptions not supported", "connection rate exceeded",
	"maximum connect time", "subscription identifiers not supported", "wildcard subscriptions not supported",
}

// ReturnCode is the return code of a CONNACK of 3.1.1 that comes nearest (section
// 3.2.2.3): 0 to 5. Not ok: 3.1.1 has none for it, and the connection is closed
// without a CONNACK.
func (c Code) ReturnCode() (code byte, ok bool) {
	switch c {
	case Success:
		return 0, true
	case UnsupportedProtocolVersion:
		return 1, true
	case ClientIdentifierNotValid:
		return 2, true
	case ServerUnavailable, ServerBusy, ServerShuttingDown, UseAnotherServer, ServerMoved, ConnectionRateExceeded,
		QuotaExceeded, UnspecifiedError, ImplementationSpecificError:
		return 3, true
	case BadUserNameOrPassword:
		return 4, true
	case NotAuthorized, Banned, BadAuthenticationMethod:
		return 5, true
	}
	return 0, false
}

// returnCodes are the reason codes for the return codes 0 to 5 of 3.1.1.
const returnCodes = "\x00\x84\x85\x88\x86\x87"

// The reason codes that each packet may have (section 2.4 and the packets' own).
const (
	connackCodes  = "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8C\x90\x95\x97\x99\x9A\x9B\x9C\x9D\x9F"
	pubackCodes   = "\x00\x10\x80\x83\x87\x90\x91\x97\x99" // and PUBREC
	pubrelCodes   = "\x00\x92"                             // and PUBCOMP
	subackCodes   = "\x00\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2"
	suback311     = "\x00\x01\x02\x80"
	unsubackCodes = "\x00\x11\x80\x83\x87\x8F\x91"
	leaveCodes    = "\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99" // DISCONNECT of a client
	expelCodes    = "\x00\x80\x81\x82\x83\x87\x89\x8B\x8C\x8D\x8E\x8F\x90\x93\x94\x95\x96\x97\x98\x99\x9A\x9B\x9C\x9D\x9E\x9F\xA0\xA1\xA2"
)

func (c Code) oneOf(codes string) bool { return strings.IndexByte(codes, byte(c)) >= 0 }
