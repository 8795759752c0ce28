// Package json reads JSON (RFC 8259) and builds nothing: values are slices of the
// document, and looking one up scans past the others. Made for configurations and
// payloads of a few kilobytes.
//
//	doc := []byte(`{"limits": {"celsius": 8.5}, "sites": ["north", "south"]}`)
//	limit, ok := json.Find(doc, "limits", "celsius").Float64() // 8.5, true
//
//	config, err := json.Parse(doc) // checks all of it
//	for site, rest, ok := config.Get("sites").Items().Next(); ok; site, rest, ok = rest.Next() {
//		name, ok := site.Text()
//		...
//	}
//
// A value that is not there is the zero Value, of kind [None]: looking further
// into it finds nothing either.
package json

// MaxDepth is how deep arrays and objects may lie within each other.
const MaxDepth = 128

// SyntaxError says where a document is no JSON: the offset of the first byte that
// does not fit.
type SyntaxError int

// Error says it in words.
func (e SyntaxError) Error() string {
	return "not JSON from byte " + string(appendInt(nil, int(e))) + " on"
}

func appendInt(to []byte, n int) []byte {
	if n >= 10 {
		to = appendInt(to, n/10)
	}
	return append(to, '0'+byte(n%10))
}

// Kind is what a value is.
type Kind uint8

// The kinds.
const (
	None Kind = iota // there is no such value
	Null
	Bool
	Number
	String
	Array
	Object
)

// Value is one value of a document; a slice of it.
type Value struct{ raw []byte }

// Parse checks a whole document and gives its value. The error is a SyntaxError.
func Parse(doc []byte) (Value, error) {
	start := space(doc, 0)
	end := skip(doc, start)
	if end < 0 {
		return Value{}, SyntaxError(^end)
	}
	if rest := space(doc, end); rest != len(doc) {
		return Value{}, SyntaxError(rest)
	}
	return Value{doc[start:end:end]}, nil
}

// Find is the value at the end of a path of keys. The document is checked only
// as far as it is read; where a key appears twice the first one counts.
func Find(doc []byte, path ...string) Value {
	at := space(doc, 0)
	for _, key := range path {
		if at = lookup(doc, at, key); at < 0 {
			return Value{}
		}
	}
	end := skip(doc, at)
	if end < 0 {
		return Value{}
	}
	return Value{doc[at:end:end]}
}

// lookup is the offset of the value of key in the object that begins at at, -1
// if there is none.
func lookup(doc []byte, at int, key string) int {
	if peek(doc, at) != '{' {
		return -1
	}
	for {
		from := space(doc, at+1) // behind a brace or a comma
		end := quoted(doc, from)
		if end < 0 {
			return -1
		}
		found := same(doc[from+1:end-1], key)
		if at = space(doc, end); peek(doc, at) != ':' {
			return -1
		}
		at = space(doc, at+1)
		if found {
			return at
		}
		if at = skip(doc, at); at < 0 {
			return -1
		}
		if at = space(doc, at); peek(doc, at) != ',' {
			return -1
		}
	}
}

// Exists says that there is such a value.
func (v Value) Exists() bool { return len(v.raw) > 0 }

// Raw is the value as it stands in the document.
func (v Value) Raw() []byte { return v.raw }

// Kind is what it is.
func (v Value) Kind() Kind {
	switch peek(v.raw, 0) {
	case 0:
		return None
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	}
	return Number
}

// IsNull is true for null.
func (v Value) IsNull() bool { return v.Kind() == Null }

// Bool is the value, if it is true or false.
func (v Value) Bool() (value, ok bool) {
	return peek(v.raw, 0) == 't', v.Kind() == Bool
}

// Int64 is the value, if it is an integer, written without fraction or exponent,
// that fits.
func (v Value) Int64() (n int64, ok bool) {
	digits, negative := v.raw, peek(v.raw, 0) == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	var sum uint64
	for _, c := range digits {
		if c < '0' || c > '9' || sum > (1<<63)/10 {
			return 0, false
		}
		sum = sum*10 + uint64(c-'0')
	}
	switch {
	case negative && sum <= 1<<63:
		return -int64(sum), true
	case !negative && sum < 1<<63:
		return int64(sum), true
	}
	return 0, false
}

// Float64 is the value, if it is a number: the nearest one there is.
func (v Value) Float64() (f float64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	return float(v.raw), true
}

// Text is the value, if it is a string in UTF-8. It is a string of its own. A
// surrogate without its other half reads as U+FFFD.
func (v Value) Text() (s string, ok bool) {
	b, ok := v.Bytes()
	return string(b), ok
}

// Bytes is Text without a copy where the string has no escapes: it is valid as
// long as the document.
func (v Value) Bytes() (b []byte, ok bool) {
	if v.Kind() != String {
		return nil, false
	}
	return unescape(v.raw[1 : len(v.raw)-1])
}

// Is says that the value is this string.
func (v Value) Is(s string) bool {
	return v.Kind() == String && same(v.raw[1:len(v.raw)-1], s)
}

// Get is the value of a key, if it is an object that has it.
func (v Value) Get(key string) Value { return Find(v.raw, key) }

// Items is the values of an array; none for anything else.
func (v Value) Items() Items {
	if v.Kind() != Array {
		return Items{}
	}
	return Items{v.raw[1 : len(v.raw)-1]}
}

// Fields is the keys and values of an object; none for anything else.
func (v Value) Fields() Fields {
	if v.Kind() != Object {
		return Fields{}
	}
	return Fields{v.raw[1 : len(v.raw)-1]}
}

// Items is what is left of an array's values.
type Items struct{ rest []byte }

// Next is the first of them and those behind it; false if there is none.
func (i Items) Next() (v Value, rest Items, ok bool) {
	start := space(i.rest, 0)
	end := skip(i.rest, start)
	if end < 0 {
		return Value{}, Items{}, false
	}
	return Value{i.rest[start:end:end]}, Items{afterComma(i.rest, end)}, true
}

// All goes over the values: for v := range items.All
func (i Items) All(yield func(Value) bool) {
	for v, rest, ok := i.Next(); ok; v, rest, ok = rest.Next() {
		if !yield(v) {
			return
		}
	}
}

// Fields is what is left of an object's keys and values.
type Fields struct{ rest []byte }

// Next is the first of them and those behind it; false if there is none.
func (f Fields) Next() (key string, v Value, rest Fields, ok bool) {
	b := f.rest
	start := space(b, 0)
	end := quoted(b, start)
	if end < 0 {
		return "", Value{}, Fields{}, false
	}
	name, ok := unescape(b[start+1 : end-1])
	if start = space(b, end); !ok || peek(b, start) != ':' {
		return "", Value{}, Fields{}, false
	}
	start = space(b, start+1)
	if end = skip(b, start); end < 0 {
		return "", Value{}, Fields{}, false
	}
	return string(name), Value{b[start:end:end]}, Fields{afterComma(b, end)}, true
}

// All goes over the keys and values: for key, v := range fields.All
func (f Fields) All(yield func(string, Value) bool) {
	for key, v, rest, ok := f.Next(); ok; key, v, rest, ok = rest.Next() {
		if !yield(key, v) {
			return
		}
	}
}

// afterComma is what follows a value and its comma.
func afterComma(b []byte, end int) []byte {
	if end = space(b, end); peek(b, end) != ',' {
		return nil
	}
	return b[end+1:]
}
