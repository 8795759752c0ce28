package packet

// PropertyID is the identifier of a property (MQTT 5.0, section 2.2.2.2).
type PropertyID uint8

// The properties. Their kind is in brackets: a number is read by
// Properties.Number, a text or bytes by Properties.Bytes.
const (
	PayloadFormat          PropertyID = 1  // number, 0 or 1
	MessageExpiry          PropertyID = 2  // number, seconds
	ContentType            PropertyID = 3  // text
	ResponseTopic          PropertyID = 8  // text, a topic name
	CorrelationData        PropertyID = 9  // bytes
	SubscriptionIdentifier PropertyID = 11 // number, 1 to MaxRemaining; PUBLISH may have many
	SessionExpiry          PropertyID = 17 // number, seconds
	AssignedClientID       PropertyID = 18 // text
	ServerKeepAlive        PropertyID = 19 // number, seconds
	AuthMethod             PropertyID = 21 // text
	AuthData               PropertyID = 22 // bytes
	RequestProblemInfo     PropertyID = 23 // number, 0 or 1
	WillDelay              PropertyID = 24 // number, seconds
	RequestResponseInfo    PropertyID = 25 // number, 0 or 1
	ResponseInfo           PropertyID = 26 // text
	ServerReference        PropertyID = 28 // text
	ReasonString           PropertyID = 31 // text
	ReceiveMaximum         PropertyID = 33 // number, not 0
	TopicAliasMaximum      PropertyID = 34 // number
	TopicAlias             PropertyID = 35 // number, not 0
	MaximumQoS             PropertyID = 36 // number, 0 or 1
	RetainAvailable        PropertyID = 37 // number, 0 or 1
	UserProperty           PropertyID = 38 // name and text; any number of them
	MaximumPacketSize      PropertyID = 39 // number, not 0
	WildcardAvailable      PropertyID = 40 // number, 0 or 1
	IdentifiersAvailable   PropertyID = 41 // number, 0 or 1
	SharedAvailable        PropertyID = 42 // number, 0 or 1
)

// kind is how a property's value is encoded.
type kind uint8

const (
	kindNone kind = iota
	kindBit       // a byte, 0 or 1
	kindUint16
	kindUint32
	kindVarint
	kindText
	kindBytes
	kindPair
)

// propertyRule is what the specification says of one property.
type propertyRule struct {
	kind kind
	// in are the packets that may have it, a bit for each Type (bit 0: the will).
	in uint16
	// notZero: 0 is forbidden.
	notZero bool
}

const (
	inWill        = 1 << typeWill
	inConnect     = 1 << TypeConnect
	inConnack     = 1 << TypeConnack
	inPublish     = 1 << TypePublish
	inSubscribe   = 1 << TypeSubscribe
	inUnsubscribe = 1 << TypeUnsubscribe
	inDisconnect  = 1 << TypeDisconnect
	inAuth        = 1 << TypeAuth
	inAnswers     = 1<<TypePuback | 1<<TypePubrec | 1<<TypePubrel | 1<<TypePubcomp | 1<<TypeSuback | 1<<TypeUnsuback
	inMessages    = inPublish | inWill
	inAll         = inWill | inConnect | inConnack | inPublish | inAnswers | inSubscribe | inUnsubscribe | inDisconnect | inAuth
)

// propertyRules is table 2-4 of the specification.
var propertyRules = [43]propertyRule{
	PayloadFormat:          {kind: kindBit, in: inMessages},
	MessageExpiry:          {kind: kindUint32, in: inMessages},
	ContentType:            {kind: kindText, in: inMessages},
	ResponseTopic:          {kind: kindText, in: inMessages},
	CorrelationData:        {kind: kindBytes, in: inMessages},
	SubscriptionIdentifier: {kind: kindVarint, in: inPublish | inSubscribe, notZero: true},
	SessionExpiry:          {kind: kindUint32, in: inConnect | inConnack | inDisconnect},
	AssignedClientID:       {kind: kindText, in: inConnack},
	ServerKeepAlive:        {kind: kindUint16, in: inConnack},
	AuthMethod:             {kind: kindText, in: inConnect | inConnack | inAuth},
	AuthData:               {kind: kindBytes, in: inConnect | inConnack | inAuth},
	RequestProblemInfo:     {kind: kindBit, in: inConnect},
	WillDelay:              {kind: kindUint32, in: inWill},
	RequestResponseInfo:    {kind: kindBit, in: inConnect},
	ResponseInfo:           {kind: kindText, in: inConnack},
	ServerReference:        {kind: kindText, in: inConnack | inDisconnect},
	ReasonString:           {kind: kindText, in: inConnack | inAnswers | inDisconnect | inAuth},
	ReceiveMaximum:         {kind: kindUint16, in: inConnect | inConnack, notZero: true},
	TopicAliasMaximum:      {kind: kindUint16, in: inConnect | inConnack},
	TopicAlias:             {kind: kindUint16, in: inPublish, notZero: true},
	MaximumQoS:             {kind: kindBit, in: inConnack},
	RetainAvailable:        {kind: kindBit, in: inConnack},
	UserProperty:           {kind: kindPair, in: inAll},
	MaximumPacketSize:      {kind: kindUint32, in: inConnect | inConnack, notZero: true},
	WildcardAvailable:      {kind: kindBit, in: inConnack},
	IdentifiersAvailable:   {kind: kindBit, in: inConnack},
	SharedAvailable:        {kind: kindBit, in: inConnack},
}

// String is the property's name in words.
func (id PropertyID) String() string {
	if int(id) < len(propertyNames) && propertyNames[id] != "" {
		return propertyNames[id]
	}
	return "unknown property"
}

var propertyNames = [len(propertyRules)]string{
	PayloadFormat:          "payload format indicator",
	MessageExpiry:          "message expiry interval",
	ContentType:            "content type",
	ResponseTopic:          "response topic",
	CorrelationData:        "correlation data",
	SubscriptionIdentifier: "subscription identifier",
	SessionExpiry:          "session expiry interval",
	AssignedClientID:       "assigned client identifier",
	ServerKeepAlive:        "server keep alive",
	AuthMethod:             "authentication method",
	AuthData:               "authentication data",
	RequestProblemInfo:     "request problem information",
	WillDelay:              "will delay interval",
	RequestResponseInfo:    "request response information",
	ResponseInfo:           "response information",
	ServerReference:        "server reference",
	ReasonString:           "reason string",
	ReceiveMaximum:         "receive maximum",
	TopicAliasMaximum:      "topic alias maximum",
	TopicAlias:             "topic alias",
	MaximumQoS:             "maximum QoS",
	RetainAvailable:        "retain available",
	UserProperty:           "user property",
	MaximumPacketSize:      "maximum packet size",
	WildcardAvailable:      "wildcard subscription available",
	IdentifiersAvailable:   "subscription identifiers available",
	SharedAvailable:        "shared subscription available",
}
