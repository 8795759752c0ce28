package server

import (
	"strconv"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// The attributes that properties of PUBLISH become. User properties are attributes of
// their own names; one that bears such a name, or none, or begins with userPrefix,
// gets that in front.
const (
	attrResponseTopic = "response_topic"
	attrCorrelation   = "correlation_data"
	attrFormat        = "payload_format"
	attrExpiry        = mqtt.AttrExpiry
	userPrefix        = "user."
)

// attrPassword is what the open hook alone sees: it is not recorded and not kept.
const attrPassword = "password"

// needsPrefix tells whether a user property cannot bear its name as an attribute.
func needsPrefix(name string) bool {
	switch name {
	case "", attrContentType, attrResponseTopic, attrCorrelation, attrFormat, attrExpiry:
		return true
	}
	return strings.HasPrefix(name, userPrefix)
}

// appendAttributes adds the properties of a PUBLISH as attributes.
func appendAttributes(dst abi.Attributes, properties packet.Properties) abi.Attributes {
	for len(properties) > 0 {
		var f packet.Property
		if f, properties = properties.Next(); f.ID == 0 {
			break
		}
		switch f.ID {
		case packet.UserProperty:
			if name := string(f.Name); needsPrefix(name) {
				dst = dst.Append(userPrefix+name, f.Value)
			} else {
				dst = dst.Append(name, f.Value)
			}
		case packet.ContentType:
			dst = dst.Append(attrContentType, f.Value)
		case packet.ResponseTopic:
			dst = dst.Append(attrResponseTopic, f.Value)
		case packet.CorrelationData:
			dst = dst.Append(attrCorrelation, f.Value)
		case packet.PayloadFormat:
			dst = appendNumber(dst, attrFormat, f.Number)
		case packet.MessageExpiry:
			dst = appendNumber(dst, attrExpiry, f.Number)
		}
	}
	return dst
}

// appendConnectProperties adds the properties of a CONNECT as attributes of the open
// hook. A user property that bears the name of something that weft knows about the
// connection, or asks of it, gets userPrefix: plugins decide by these who may come in.
func appendConnectProperties(dst abi.Attributes, properties packet.Properties) abi.Attributes {
	for name, value := range appendAttributes(nil, properties).All() {
		if opensSession(string(name)) {
			dst = dst.Append(userPrefix+string(name), value)
		} else {
			dst = dst.Append(string(name), value)
		}
	}
	return dst
}

// opensSession tells the attributes of the open hook that are no property's.
func opensSession(name string) bool {
	switch name {
	case "peer", "protocol", "client_id", "protocol_level", "clean", "user", attrPassword, attrIdentity:
		return true
	}
	return strings.HasPrefix(name, "ws.")
}

func appendNumber(dst abi.Attributes, name string, n uint32) abi.Attributes {
	var text [10]byte
	return dst.Append(name, strconv.AppendUint(text[:0], uint64(n), 10))
}

// appendProperties adds a message's attributes as properties of a PUBLISH, but the
// expiry, which the caller knows better. What is no text of MQTT is left out.
func appendProperties(dst packet.Properties, attrs abi.Attributes) packet.Properties {
	for name, value := range attrs.All() {
		switch string(name) {
		case attrContentType:
			if packet.ValidString(value) && !dst.Has(packet.ContentType) {
				dst = dst.AppendBytes(packet.ContentType, value)
			}
		case attrResponseTopic:
			if packet.ValidTopic(value) && !dst.Has(packet.ResponseTopic) {
				dst = dst.AppendBytes(packet.ResponseTopic, value)
			}
		case attrCorrelation:
			if !dst.Has(packet.CorrelationData) {
				dst = dst.AppendBytes(packet.CorrelationData, value)
			}
		case attrFormat:
			if len(value) == 1 && (value[0] == '0' || value[0] == '1') && !dst.Has(packet.PayloadFormat) {
				dst = dst.AppendNumber(packet.PayloadFormat, uint32(value[0]-'0'))
			}
		case attrExpiry:
		default:
			if len(name) >= len(userPrefix) && string(name[:len(userPrefix)]) == userPrefix && needsPrefix(string(name[len(userPrefix):])) {
				name = name[len(userPrefix):]
			}
			if packet.ValidString(name) && packet.ValidString(value) {
				dst = dst.AppendUser(name, value)
			}
		}
	}
	return dst
}
