package frame_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/frame"
)

func field(rest string) string {
	return "fields:\n  - " + rest + "\n  - {name: n, size: 2, counts: payload}\n  - {name: payload}\n"
}

// Mistakes, and every problem that is reported for each.
func TestBadDeclarations(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"", "declaration: found an empty document, expected the key fields or text"},
		{"fields: [", "declaration: found line 1: did not find expected node content, expected YAML"},
		{"- a", "declaration: found a list, expected keys with values (line 1)"},
		{"text: {delimiter: x}\n---\n{}", "declaration: found a second document, expected one; remove everything from --- on"},
		{"recover: resink\ntext: {delimiter: x}", `recover: found "resink", expected one of close, frame or resync; did you mean resync? (line 1)`},
		{"limmit: 5\n" + field("{name: a, size: 1}"), "limmit: found an unknown key, expected one of description, endian, fields, heartbeat, limit, recover, text or type; did you mean limit? (line 1)"},
		{"limit: lots\n" + field("{name: a, size: 1}"), `limit: found "lots", expected a number of bytes such as 512, 64KiB or 1MiB (line 1)`},
		{"limit: 2\n" + field("{name: a, size: 1}"), "limit: found 2, expected at least 3, which the fixed fields take (line 1)"},
		{"limit: 1\nlimit: 2\n" + field("{name: a, size: 1}"), "limit: found the key a second time, expected each key once (line 1)"},
		{"endian: middle\n" + field("{name: a, size: 1}"), `endian: found "middle", expected one of big or little (line 1)`},
		{"type: telegram\n" + field("{name: a, size: 1}"), `type: found "telegram", expected one of ack, event, heartbeat, request or response (line 1)`},
		{"description: x", "declaration: expected the key fields (a binary frame) or text (lines) (line 1)"},
		{"text: {delimiter: x}\n" + field("{name: a, size: 1}"), "text: found both text and fields, expected one of them; a frame is text or binary (line 1)"},
		{`text: {trim: "\r"}`, `text.delimiter: found 0 bytes, expected 1 to 8 bytes, such as "\n" (line 1)`},
		{"text: {delimiter: aba}", `text.delimiter: found "aba", expected bytes that do not end as they begin; its place would be ambiguous behind a payload that ends in "a" (line 1)`},
		{"text: {delimiter: x, embedded: escape}", `text.embedded: found "escape", expected one of refuse or space (line 1)`},
		{"text: {delimiter: x}\nrecover: frame", "recover: found frame, expected close; text that is too long has no end to go on behind (line 2)"},
		{"fields: 7", "fields: found 7, expected a list of fields (line 1)"},
		{"fields: [7]", "fields[0]: found 7, expected keys with values (line 1)"},

		{field("{name: a, size: 9}"), "fields[0].size: found 9, expected a whole number of bytes from 1 to 8; leave size out for a field of variable length (line 2)"},
		{field("{name: a, size: one}"), `fields[0].size: found "one", expected a whole number of bytes from 1 to 8; leave size out for a field of variable length (line 2)`},
		{field("{name: a, sice: 1}"), "fields[0].sice: found an unknown key, expected one of attribute, checksum, const, counts, covers, default, encode, endian, init, max, min, name, other, poly, refin, refout, role, size, values, xorout or zero; did you mean size? (line 2)"},
		{field("{size: 1}"), `fields[0].name: found "", expected a name of letters, digits, _ and -, beginning with a letter, not frame (line 2)`},
		{field("{name: n, size: 1}"), "fields[1].name: found n again, expected a name that fields[0] does not have (line 3)"},
		{field("{name: a, size: 1, const: 0x5A5A}"), "fields[0].const: found 23130 (0x5a5a), expected at most 255, which is what 1 byte(s) hold (line 2)"},
		{field("{name: a, size: 1, const: 010}"), "fields[0].const: found 010, expected a whole number of at most 64 bits, such as 85 or 0x55 (line 2)"},
		{field("{name: a, size: 1, const: -1}"), "fields[0].const: found -1, expected a whole number of at most 64 bits, such as 85 or 0x55 (line 2)"},
		{field("{name: a, size: 1, const: 1, default: 2}"), "fields[0].default: found default in a, expected no default here; it belongs to a field that is neither const, counts nor checksum (line 2)"},
		{field("{name: a, size: 1, const: 1, counts: payload}"), "fields[0]: found more than one of const, counts and checksum in a, expected one at most (line 2)"},
		{field("{name: a, size: 1, min: 5, max: 4}"), "fields[0].min: found 5, expected at most max, which is 4 (line 2)"},
		{field("{name: a, size: 1, min: 5, default: 4}"), "fields[0].default: found 4, expected a number from 5 to 255 (line 2)"},
		{field("{name: a, size: 1, role: sequence}"), `fields[0].role: found "sequence", expected one of magic, node, payload, priority, seq, topic, type or version (line 2)`},
		{field("{name: a, size: 1, role: magic}"), "fields[0].role: found role magic in a, expected a field with a const (line 2)"},
		{field("{name: a, size: 1, role: topic}"), "fields[0].role: found role topic in a, expected a field of variable length: one without a size, that a length field counts (line 2)"},
		{field("{name: a, size: 1, role: priority, max: 9}"), "fields[0].max: found 9, expected at most 7; a message's priority runs from 0 to 7 (line 2)"},
		{field("{name: a, size: 1, role: type}"), "fields[0].values: expected what each value means, such as {1: request, 2: response} (line 2)"},
		{field("{name: a, size: 1, role: type, values: {1: reqest}}"), `fields[0].values.1: found "reqest", expected one of ack, event, heartbeat, request or response; did you mean request? (line 2)`},
		{field("{name: a, size: 1, role: type, values: {one: request}}"), `fields[0].values.one: found the key "one", expected a whole number, such as 1 or 0x01 (line 2)`},
		{field("{name: a, size: 1, role: type, values: {1: request, 2: request}}"), "fields[0].encode: expected how request is written: values has request more than once; add encode: {request: 1} (line 2)"},
		{field("{name: a, size: 1, role: type, values: {1: request}, encode: {ack: 2}}"), "fields[0].encode.ack: found 2, expected a value that values names (line 2)"},
		{field("{name: a, size: 1, role: type, values: {0x100: request}}"), "fields[0].values: found 256 (0x100), expected at most 255, which is what 1 byte(s) hold (line 2)"},
		{field("{name: a, size: 1, zero: event}"), "fields[0].zero: found zero in a, expected no zero here; it belongs to a field with role seq (line 2)"},
		{field("{name: a, size: 1, attribute: 'a b'}"), `fields[0].attribute: found "a b", expected a name of letters, digits, _ and -, beginning with a letter (line 2)`},
		{field("{name: a, size: 1, covers: payload}"), "fields[0].covers: found covers in a, expected no covers here; it belongs to a checksum field (line 2)"},
		{field("{name: a, size: 1, refin: 1, checksum: xor8, covers: n}"), "fields[0].refin: found 1, expected true or false (line 2)"},

		{"fields:\n  - {name: payload}\n", "fields[0]: found payload, of variable length, which no length field counts, expected a field before it with counts: payload; or give it a size (line 2)"},
		{"fields:\n  - {name: a, size: 1}\n", "fields: expected a field {name: payload} without a size; what is routed is a payload (line 1)"},
		{"fields:\n  - {name: payload}\n  - {name: n, size: 1, counts: payload}\n",
			"fields[1].counts: found n, behind what it counts, expected a length field before the first field of variable length (line 3)"},
		{"fields:\n  - {name: n, size: 1, counts: payload}\n  - {name: payload}\n  - {name: a, size: 1}\n  - {name: b}\n",
			"fields[3]: found b, of variable length, behind a fixed field that follows another such field, expected all fields of variable length next to each other; give it a size, or move it (line 5)"},
		{"fields:\n  - {name: n, size: 1, counts: payloda}\n  - {name: payload}\n",
			"fields[0].counts: found \"payloda\", expected frame, a field or a range first..last of n, payload; did you mean payload? (line 2)"},
		{"fields:\n  - {name: n, size: 1, counts: payload..n}\n  - {name: payload}\n",
			"fields[0].counts: found \"payload..n\", expected a range whose first field stands before its last; write n..payload (line 2)"},
		{"fields:\n  - {name: n, size: 1, counts: frame}\n  - {name: topic, role: topic}\n  - {name: payload}\n",
			"fields[0].counts: found frame, which holds two fields of unknown length, expected one at most; put the field that counts payload alone before n (line 2)"},
		{field("{name: a, size: 2, checksum: crc17, covers: n}"), `fields[0].checksum: found "crc17", expected one of crc16, crc16/arc, crc16/ccitt-false, crc16/kermit, crc16/modbus, crc16/usb, crc16/x25, crc16/xmodem, crc32, crc32c, sum8 or xor8; did you mean crc16? (line 2)`},
		{field("{name: a, size: 1, checksum: crc16, covers: n}"), "fields[0].size: found 1, expected 2, the size of crc16 (line 2)"},
		{field("{name: a, size: 2, checksum: crc16}"), "fields[0].covers: expected the field or range first..last that the checksum is taken over (line 2)"},
		{field("{name: a, size: 2, checksum: crc16, covers: a..n}"), "fields[0].covers: found a..n, which holds the checksum a, expected fields that are written before a (line 2)"},
		{field("{name: a, size: 2, checksum: crc16, covers: n, poly: 0x10000}"), "fields[0].poly: found 0x10000, expected at most 0xffff (line 2)"},
		{field("{name: a, size: 4, checksum: crc32, covers: n, init: 0}"), "fields[0].init: found init with crc32, expected no init; only crc16 takes parameters (line 2)"},
		{"recover: resync\n" + field("{name: a, size: 1}"), "recover: found resync, expected a frame that begins with a const field; there is nothing to look for otherwise (line 1)"},
		{field("{name: a, size: 1}") + "heartbeat: {}\n", "heartbeat.is: expected the fields by which a heartbeat is known, such as {type: 3}; or a type field with heartbeat among its values (line 5)"},
		{field("{name: a, size: 1}") + "heartbeat: {is: {b: 1}}\n",
			"heartbeat.is.b: found a field that cannot be set, expected one of a (line 5)"},
		{field("{name: a, size: 1, max: 3}") + "heartbeat: {is: {a: 4}}\n", "heartbeat.is.a: found 4, expected a number from 0 to 3 (line 5)"},
		{"fields:\n  - {name: a, size: 1}\n  - {name: n, size: 1, min: 1, counts: payload}\n  - {name: payload}\nheartbeat: {is: {a: 4}, send: {a: 4}}\n",
			"heartbeat.send: found bad: n: bad_length: expected at least 1, expected a frame without a payload to be allowed (line 5)"},
	} {
		_, err := frame.Parse("bad", []byte(c.doc))
		var bad *frame.DeclarationError
		if !errors.As(err, &bad) || !errors.Is(err, frame.ErrDeclaration) {
			t.Errorf("%s\nwas accepted, or failed with %v", c.doc, err)
			continue
		}
		var lines []string
		for _, p := range bad.Problems {
			lines = append(lines, p.String())
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.doc, got, c.want)
		}
		if got, want := err.Error(), "frame bad: "+strings.ReplaceAll(c.want, "\n", "\n\t"); got != want {
			t.Errorf("the error reads %q, expected %q", got, want)
		}
	}
}

func TestDeclarationWithoutLines(t *testing.T) {
	fields := []any{
		map[string]any{"name": "kind", "size": 1, "role": "type", "values": map[string]any{"1": "request", "2": "response"}},
		map[string]any{"name": "n", "size": "2", "counts": "payload"},
		map[string]any{"name": "payload"},
	}
	if _, err := frame.ParseMap("map", map[string]any{"fields": fields, "limit": 300}); err != nil {
		t.Error(err)
	}
	_, err := frame.ParseMap("map", map[string]any{"fields": fields, "recover": "no"})
	if want := `frame map: recover: found "no", expected one of close, frame or resync`; err == nil || err.Error() != want {
		t.Errorf("got %v, expected %s", err, want)
	}
	_, err = frame.Compile("go", frame.Declaration{Fields: []frame.Field{{Name: "payload", Size: -1}}})
	if want := "frame go: fields[0].size: found -1, expected a whole number of bytes from 1 to 8"; err == nil || err.Error() != want {
		t.Errorf("got %v, expected %s", err, want)
	}
}

func TestAliases(t *testing.T) {
	doc := "fields:\n  - &n {name: n, size: 2, counts: payload}\n  - {name: payload}\n"
	if _, err := frame.Parse("alias", []byte(doc)); err != nil {
		t.Error(err)
	}
	loop := "fields: &f\n  - *f\n"
	if _, err := frame.Parse("loop", []byte(loop)); !errors.Is(err, frame.ErrDeclaration) {
		t.Error(err)
	}
	if _, err := frame.Parse("long", make([]byte, 1<<20)); !errors.Is(err, frame.ErrDeclaration) {
		t.Error(err)
	}
}

func TestDescribe(t *testing.T) {
	want := `mcp-seq: Requests and responses by sequence id, with priority and heartbeats
     0    1  version          always 0x01
     1    1  msg_type         type, 1 request, 2 response, 3 heartbeat
     2    2  seq_id           seq
     4    4  payload_len      length of payload
     8    1  priority         at most 7
     9  ...  payload
at most 65536 bytes; a bad frame is skipped, lost framing closes the connection
`
	if got := preset(t, "mcp-seq").Describe(); got != want {
		t.Errorf("got\n%s\nexpected\n%s", got, want)
	}
	for name, f := range formats(t) {
		if !strings.HasPrefix(f.Describe(), name+": ") {
			t.Error(f.Describe())
		}
	}
}

// The declarations in README.md compile, and its example says what it says.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no declaration in it")
	}
	for _, b := range blocks {
		doc, _, _ := strings.Cut(b, "```")
		if _, err := frame.Parse("readme", []byte(doc)); err != nil {
			t.Errorf("%s\n%v", doc, err)
		}
	}
}
