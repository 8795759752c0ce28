package frame

import (
	"fmt"
	"slices"

	"github.com/weftrun/weft/abi"
)

// maxParts is how many fields of variable length a frame can have.
const maxParts = 4

// Format is a compiled declaration. It is immutable and safe for concurrent use.
type Format struct {
	name        string
	description string
	declared    Declaration
	root        *Format // the format as compiled, before any WithLimit
	limit       int
	typ         abi.Type // of messages whose frame carries none
	recover     recovery
	text        *textRules // nil for binary frames
	modbus      *modbus    // nil for declared frames

	// quick: the header is at least 8 bytes long, has constants only in the first
	// 8, and its other fields are big-endian; one length field counts one part,
	// the payload. The constants are then want, under mask.
	quick      bool
	mask, want uint64

	header, trailer int      // bytes of the fixed fields before and behind the parts
	constants       []fixed  // in the header, in order
	start           []byte   // the constants that a frame begins with
	lengths         []length // in an order in which each can be solved
	parts           []part
	heads, tails    []value // fields of the header and the trailer with a meaning
	ends            []fixed // constants in the trailer
	sums            []sum
	blank, blankEnd []byte // header and trailer with constants and defaults filled in
	beat            beat

	carries  abi.Changes
	seqBits  int
	nodeAttr string
	noType   bool // nothing tells a request from a response
	tooLong  *Fault
	tooMany  *Fault // bytes of attributes
}

// recovery is what follows a bad frame.
type recovery uint8

const (
	recoverClose  recovery = iota // nothing sensible can follow
	recoverFrame                  // its length is known: go on behind it
	recoverResync                 // go on where the start bytes appear next
)

// fixed is a constant field. Its offset counts from the start of the header or
// of the trailer.
type fixed struct {
	offset int
	number number
	want   uint64
	bytes  []byte // want as it lies in the frame
	fault  *Fault
}

// mark is a boundary between fields: offset bytes of fixed fields and the first
// parts of the variable ones lie before it.
type mark struct{ offset, parts int }

func (k mark) at(sizes *[maxParts]int) int {
	at := k.offset
	for _, n := range sizes[:k.parts] {
		at += n
	}
	return at
}

// length is a field that counts bytes: fixed ones and those of some parts. The
// part that it solves is the one whose size nothing before it told.
type length struct {
	window   window // if the format is quick
	min, max uint64
	fixed    int
	offset   int
	size     int
	number   number
	parts    []int // those it counts besides the one it solves
	solves   int   // -1: it must agree with what the others said
	field    *Fault
	long     *Fault
	bad      *Fault
}

// part is a field of variable length.
type part struct {
	name  string
	role  role
	attr  []byte // head of the attribute in a block, its value's length zero
	key   string // the attribute's name
	most  int    // bytes
	fault *Fault
}

// value is a fixed field that means something to the message.
type value struct {
	window   window // if the format is quick and the field in the header
	role     role
	number   number
	bounded  bool  // by min and max, and not just by its size
	zero     uint8 // a type plus 1: what sequence id 0 says
	min, max uint64
	types    *typeMap
	attr     []byte
	offset   int
	size     int
	key      string
	initial  uint64 // what is written where the message says nothing
	field    *Fault
	large    *Fault
	badAttr  *Fault
	badType  *Fault
}

// sum is a checksum field.
type sum struct {
	checksum *checksum
	at       mark
	from, to mark
	number   number
	fault    *Fault
}

// typeMap leads from raw values to message types and back.
type typeMap struct {
	known [256]uint8 // type plus 1, 0 for a value that is none
	wide  map[uint64]uint8
	other uint8
	wire  [5]uint64
	can   [5]bool
}

// typeOf is the type that a raw value stands for, plus 1, or 0.
func (t *typeMap) typeOf(raw uint64) uint8 {
	if raw < 256 {
		return t.known[raw]
	}
	if v, ok := t.wide[raw]; ok {
		return v
	}
	return t.other
}

// Name is the name that the format was compiled under.
func (f *Format) Name() string { return f.name }

// Description is the declaration's own sentence about the format.
func (f *Format) Description() string { return f.description }

// Limit is the longest frame in bytes, header and trailer included, that is
// decoded or encoded.
func (f *Format) Limit() int { return f.limit }

// WithLimit is the format with another limit in bytes. Numbers below the
// shortest frame, 0 included, leave the declared limit; more than
// abi.MaxPayload of payload is never allowed.
func (f *Format) WithLimit(bytes int) *Format {
	if bytes < f.header+f.trailer || bytes < 1 {
		return f
	}
	limited := *f
	limited.setLimit(bytes)
	return &limited
}

func (f *Format) setLimit(bytes int) {
	f.limit = min(bytes, f.header+f.trailer+abi.MaxPayload)
	if f.modbus != nil {
		f.limit = min(bytes, f.modbus.most)
	}
	f.tooLong = &Fault{TooLong, f.name, "", fmt.Sprintf("expected at most %d bytes a frame", f.limit)}
}

// Same reports whether both are one format, their limits apart: a frame that one
// has read is then a frame that the other writes, byte for byte. A Modbus format
// is not even the same as itself: who reads requests writes responses. nil, the format
// of protocols that are none of this package's, is the same as no other.
func (f *Format) Same(g *Format) bool { return g != nil && f.root == g.root && f.modbus == nil }

// Carries tells which fields of a message the frame's bytes depend on. A message
// in which none of them changed may be sent as its Frame.
func (f *Format) Carries() abi.Changes { return f.carries }

// HasPart tells whether the format has a field of variable length that becomes the
// attribute of this name, and is written from it.
func (f *Format) HasPart(attribute string) bool {
	return slices.ContainsFunc(f.parts, func(p part) bool { return p.key == attribute })
}

// SeqBits is the width of the sequence id in bits, 0 if the format has none.
func (f *Format) SeqBits() int { return f.seqBits }

// NodeAttr is the name of the attribute that the node field becomes, "" if the
// format has no such field.
func (f *Format) NodeAttr() string { return f.nodeAttr }

// RespondsBySeq reports that a frame has a sequence id and does not tell a
// request from a response. A frame that was decoded as a request is then a
// response if its sequence id is that of a request which is outstanding on the
// same connection.
func (f *Format) RespondsBySeq() bool { return f.seqBits > 0 && f.noType }

// Text reports whether frames are text that ends in a delimiter.
func (f *Format) Text() bool { return f.text != nil }

// Ending is what a text frame ends in, and what is cut off its payload before that;
// both empty for binary frames.
func (f *Format) Ending() (delimiter, trim []byte) {
	if f.text == nil {
		return nil, nil
	}
	return f.text.delimiter, f.text.trim
}
