package frame

// Declaration is one frame format as its author wrote it. Parse reads one from
// YAML; Compile checks it and turns it into a Format. README.md describes every
// key. Pointers are nil where the key was not given.
type Declaration struct {
	// Description is one sentence for listings.
	Description string `yaml:"description"`
	// Endian is the byte order of the fields that name none: "big" (or empty)
	// or "little".
	Endian string `yaml:"endian"`
	// Limit is the longest frame in bytes, header and trailer included; 0 is
	// DefaultLimit.
	Limit int `yaml:"limit"`
	// Type is the type of messages whose frame carries none; empty is "event".
	Type string `yaml:"type"`
	// Recover says what follows a bad frame: "close" (or empty), "frame" or
	// "resync".
	Recover string `yaml:"recover"`
	// Fields are the parts of a binary frame in the order of their bytes.
	Fields []Field `yaml:"fields"`
	// Text declares a text frame instead; Fields is empty then.
	Text *Text `yaml:"text"`
	// Heartbeat says which frame is a heartbeat and what answers it.
	Heartbeat *Heartbeat `yaml:"heartbeat"`

	lines map[string]int // key path -> line of the document, where known
}

// Field is one part of a binary frame. A field with a Size is an unsigned
// integer; one without is a run of bytes whose length another field counts.
type Field struct {
	Name   string `yaml:"name"`
	Size   int    `yaml:"size"`   // bytes, 1 to 8; 0: variable
	Endian string `yaml:"endian"` // overrides the declaration's

	// Role is what the field means to the message: seq, type, priority, node,
	// topic, payload; magic or version for a constant.
	Role string `yaml:"role"`
	// Attribute is the name under which the field becomes an attribute. A node
	// field without one uses its own name.
	Attribute string `yaml:"attribute"`

	Const   *uint64 `yaml:"const"`   // the only value that is right
	Default *uint64 `yaml:"default"` // written where the message says nothing
	Min     *uint64 `yaml:"min"`
	Max     *uint64 `yaml:"max"`

	// Values maps raw values of a type field to message types, Other is the
	// type of every value that Values does not name, and Encode adds how types
	// are written that Values does not lead back to, or not unambiguously.
	Values map[uint64]string `yaml:"values"`
	Other  string            `yaml:"other"`
	Encode map[string]uint64 `yaml:"encode"`
	// Zero is the type of messages whose sequence id is 0.
	Zero string `yaml:"zero"`

	// Counts makes the field a length: the name of a field, a range of fields
	// "first..last", or "frame".
	Counts string `yaml:"counts"`

	// Checksum is the algorithm of a checksum field, Covers the field or range
	// of fields that it is taken over. The others override the algorithm's
	// parameters as in the catalogue of parametrised CRC algorithms.
	Checksum string  `yaml:"checksum"`
	Covers   string  `yaml:"covers"`
	Poly     *uint64 `yaml:"poly"`
	Init     *uint64 `yaml:"init"`
	XorOut   *uint64 `yaml:"xorout"`
	RefIn    *bool   `yaml:"refin"`
	RefOut   *bool   `yaml:"refout"`
}

// Text is a frame that ends in a delimiter.
type Text struct {
	// Delimiter ends a frame; 1 to 8 bytes.
	Delimiter string `yaml:"delimiter"`
	// Trim is removed once from in front of the delimiter if it stands there.
	Trim string `yaml:"trim"`
	// Embedded says what happens to a delimiter inside a payload that is sent:
	// "refuse" (or empty) or "space".
	Embedded string `yaml:"embedded"`
}

// Heartbeat says which frames only keep a connection alive.
type Heartbeat struct {
	// Is names the fields and the values by which a heartbeat is known, besides
	// a type field that says so.
	Is map[string]uint64 `yaml:"is"`
	// Empty adds the condition that the payload is empty.
	Empty bool `yaml:"empty"`
	// Send and Answer are the fields of the heartbeat that weft sends, and of
	// the answer to one. What Answer does not name stays as it was received.
	Send   map[string]uint64 `yaml:"send"`
	Answer map[string]uint64 `yaml:"answer"`
}

// DefaultLimit is the longest frame in bytes where a declaration says nothing.
const DefaultLimit = 64 << 10
