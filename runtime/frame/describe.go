package frame

import (
	"fmt"
	"strings"
)

// Describe is the format as a table for people: one line for each field with its
// offset, its size in bytes and what it means. Fields behind one of variable
// length have no fixed offset.
func (f *Format) Describe() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s\n", f.name, f.description)
	if f.text != nil {
		fmt.Fprintf(&s, "text up to %q, at most %d bytes with it", f.text.delimiter, f.limit)
		if len(f.text.trim) > 0 {
			fmt.Fprintf(&s, "; %q before it is removed", f.text.trim)
		}
		s.WriteByte('\n')
		return s.String()
	}
	if f.modbus != nil {
		f.describeModbus(&s)
		return s.String()
	}
	offset := 0
	for i := range f.declared.Fields {
		d := &f.declared.Fields[i]
		at, size := "", "..."
		if offset >= 0 {
			at = fmt.Sprint(offset)
		}
		if d.Size > 0 {
			size = fmt.Sprint(d.Size)
		}
		line := fmt.Sprintf("%6s %4s  %-16s %s", at, size, d.Name, d.describe())
		s.WriteString(strings.TrimRight(line, " ") + "\n")
		if offset += d.Size; d.Size == 0 {
			offset = -1 << 20
		}
	}
	fmt.Fprintf(&s, "at most %d bytes; ", f.limit)
	s.WriteString(map[recovery]string{
		recoverClose:  "a bad frame closes the connection",
		recoverFrame:  "a bad frame is skipped, lost framing closes the connection",
		recoverResync: "after a bad frame the next start is looked for",
	}[f.recover])
	s.WriteByte('\n')
	return s.String()
}

// describe is what a field means, in a few words.
func (d *Field) describe() string {
	var words []string
	if d.Role != "" && d.Role != d.Name {
		words = append(words, d.Role)
	}
	switch {
	case d.Const != nil:
		words = append(words, fmt.Sprintf("always 0x%0*X", 2*d.Size, *d.Const))
	case d.Counts != "":
		words = append(words, "length of "+d.Counts)
	case d.Checksum != "":
		words = append(words, d.Checksum+" of "+d.Covers)
	}
	for _, raw := range sorted(d.Values) {
		words = append(words, fmt.Sprintf("%d %s", raw, d.Values[raw]))
	}
	if d.Other != "" {
		words = append(words, "others "+d.Other)
	}
	if d.Zero != "" {
		words = append(words, "0 "+d.Zero)
	}
	if d.Min != nil {
		words = append(words, fmt.Sprintf("at least %d", *d.Min))
	}
	if d.Max != nil {
		words = append(words, fmt.Sprintf("at most %d", *d.Max))
	}
	switch {
	case d.Attribute != "":
		words = append(words, "attribute "+d.Attribute)
	case d.Role == "node":
		words = append(words, "attribute "+d.Name)
	}
	return strings.Join(words, ", ")
}
