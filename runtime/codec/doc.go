// Package codec converts payloads from one codec to another: bytes, text, JSON,
// Protobuf, MessagePack and CBOR. It is pure: it knows nothing of messages,
// routes or files.
//
// A payload is read into a flat list of values and written from it. Every value
// that both sides can hold arrives as it was; one that the other side cannot
// hold is refused, never approximated in silence:
//
//	value       JSON               MessagePack     CBOR                 Protobuf
//	integer     number             int, uint       major types 0, 1     through JSON
//	float       number             float 64        shortest exact one   through JSON
//	text        string             str             text string          through JSON
//	bytes       base64 string (1)  bin             byte string          through JSON
//	list, map   array, object (2)  array, map (2)  array, map (2)       through JSON
//	none        null               nil             null, undefined      through JSON
//	time                           timestamp (3)   tag dropped (4)      RFC 3339 text
//
// (1) Standard alphabet with padding (RFC 4648, section 4), as Protobuf's JSON
// mapping has it. Nothing marks such a string, so it stays text on the way back,
// unless the target is bytes or a Protobuf field of that type.
// (2) Keys are text, and each comes once.
// (3) Extension -1 becomes RFC 3339 text; any other extension is refused.
// (4) As RFC 8949, section 6.1, advises. Bignums (tags 2, 3) are integers if they
// fit 64 bits and refused otherwise.
//
// Integers have 64 bits, signed or unsigned. An integer of JSON beyond them is
// taken as a float only if that is exact; between JSON and JSON a number keeps
// its digits. NaN and the infinities are refused by JSON. Protobuf goes through
// its canonical JSON mapping (protobuf.dev/programming-guides/json): 64-bit
// integers are strings there, bytes base64, fields lowerCamelCase; fields that
// the descriptor does not know are dropped.
//
// "bytes" is one value of bytes, "text" one of UTF-8: they convert to a payload
// that is a single value, and back.
//
// The same payload gives the same bytes every time. Members keep their order;
// those of Protobuf come in the order of their declaration, maps sorted by key.
package codec
