package cases

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// content compares bytes in the way in which they were given.
func (d *differences) content(field string, want *content, got []byte) {
	switch {
	case want == nil:
	case want.contains:
		if !bytes.Contains(got, want.bytes) {
			d.add(field, "something with "+show(want.bytes), show(got))
		}
	case want.json:
		d.json(field, want.bytes, got)
	case !bytes.Equal(want.bytes, got):
		d.add(field, show(want.bytes), show(got))
	}
}

func (d *differences) json(field string, want, got []byte) {
	g, err := parseJSON(got)
	if err != nil {
		d.add(field, string(want), show(got)+", which is no JSON")
		return
	}
	w, err := parseJSON(want)
	if err != nil {
		d.add(field, "JSON", err.Error())
		return
	}
	d.values(field, w, g)
}

func parseJSON(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

// values compares two JSON values and names the places where they differ.
func (d *differences) values(at string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if v, has := g[key]; has {
				d.values(at+"."+key, w[key], v)
			} else {
				d.add(at+"."+key, jsonText(w[key]), "nothing")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(g)) {
			if _, has := w[key]; !has {
				d.add(at+"."+key, "nothing", jsonText(g[key]))
			}
		}
		return
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			d.values(fmt.Sprintf("%s[%d]", at, i), w[i], g[i])
		}
		return
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(w, g) {
			return
		}
	default:
		if want == got {
			return
		}
	}
	d.add(at, jsonText(want), jsonText(got))
}

// sameNumber tells whether two numbers are the same, however they are written.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	const longest = 64 // an exponent must not make a number of gigabytes
	if len(a) > longest || len(b) > longest || strings.ContainsAny(a.String()+b.String(), "eE") {
		x, errX := a.Float64()
		y, errY := b.Float64()
		return errX == nil && errY == nil && x == y
	}
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}

func jsonText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}

// maxShown is how many bytes of a value are printed.
const maxShown = 512

// show writes bytes for a person: text in quotes, anything else in hexadecimal.
func show(b []byte) string {
	rest := ""
	if len(b) > maxShown {
		rest = fmt.Sprintf("... (%d bytes)", len(b))
		b = b[:maxShown]
	}
	if text := strings.TrimRight(string(b), "\uFFFD"); utf8.ValidString(text) && strings.IndexFunc(text, binary) < 0 {
		return strconv.Quote(string(b)) + rest
	}
	return "hex " + hex.EncodeToString(b) + rest
}

// binary tells whether a character does not belong into a text.
func binary(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r) && !unicode.IsSpace(r)
}

// Show writes bytes for a person: text in quotes, anything else in hexadecimal; of
// long ones the beginning and the length.
func Show(b []byte) string { return show(b) }

// CompareBytes lists where two values differ: place by place if both are JSON.
func CompareBytes(field string, want, got []byte) []Difference {
	if bytes.Equal(want, got) {
		return nil
	}
	var d differences
	w, errWant := parseJSON(want)
	g, errGot := parseJSON(got)
	if errWant == nil && errGot == nil {
		d.values(field, w, g)
	}
	if len(d) == 0 { // the same JSON in other words differs too
		d.add(field, show(want), show(got))
	}
	return d
}
