package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// maxJSONDepth bounds what is turned into google.protobuf.Value.
const maxJSONDepth = 100

// jsonBytes is a Value as compact JSON. (protojson is not used: it varies the
// white space on purpose.)
func jsonBytes(v *structpb.Value) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v.AsInterface()); err != nil {
		return nil, fmt.Errorf("%w: json: %w", ErrInvalidMessage, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// setBody puts the payload into the message in the form that was asked for.
func setBody(m *weftv1.Message, payload []byte, as weftv1.Encoding) {
	switch as {
	case weftv1.Encoding_ENCODING_BYTES:
	case weftv1.Encoding_ENCODING_TEXT:
		if utf8.Valid(payload) {
			m.Body = &weftv1.Message_Text{Text: string(payload)}
			return
		}
	case weftv1.Encoding_ENCODING_JSON:
		if v, err := jsonValue(payload); err == nil {
			m.Body = &weftv1.Message_Json{Json: v}
			return
		}
	default:
		if first := bytes.TrimLeft(payload, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
			if v, err := jsonValue(payload); err == nil {
				m.Body = &weftv1.Message_Json{Json: v}
				return
			}
		}
		if printable(payload) {
			m.Body = &weftv1.Message_Text{Text: string(payload)}
			return
		}
	}
	m.Body = &weftv1.Message_Payload{Payload: payload}
}

// printable is UTF-8 without control characters other than white space.
func printable(payload []byte) bool {
	return utf8.Valid(payload) && bytes.IndexFunc(payload, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r'
	}) < 0
}

var (
	errInexact = errors.New("a number that a double does not hold")
	errDeep    = errors.New("nested too deeply")
	errNotJSON = errors.New("more than one value, or not UTF-8")
)

// jsonValue reads one JSON value that survives the way through doubles.
func jsonValue(payload []byte) (*structpb.Value, error) {
	if !utf8.Valid(payload) {
		return nil, errNotJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	var raw any
	if err := decoder.Decode(&raw); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	return toValue(raw, 0)
}

func toValue(raw any, depth int) (*structpb.Value, error) {
	if depth > maxJSONDepth {
		return nil, errDeep
	}
	switch raw := raw.(type) {
	case json.Number:
		f, err := exact(raw.String())
		return structpb.NewNumberValue(f), err
	case string:
		return structpb.NewStringValue(raw), nil
	case bool:
		return structpb.NewBoolValue(raw), nil
	case []any:
		list := &structpb.ListValue{Values: make([]*structpb.Value, len(raw))}
		for i, entry := range raw {
			v, err := toValue(entry, depth+1)
			if err != nil {
				return nil, err
			}
			list.Values[i] = v
		}
		return structpb.NewListValue(list), nil
	case map[string]any:
		fields := make(map[string]*structpb.Value, len(raw))
		for key, entry := range raw {
			v, err := toValue(entry, depth+1)
			if err != nil {
				return nil, err
			}
			fields[key] = v
		}
		return structpb.NewStructValue(&structpb.Struct{Fields: fields}), nil
	}
	return structpb.NewNullValue(), nil
}

// exact is the double that a JSON number stands for. Every decimal number of up
// to 15 significant digits comes back as it was (IEEE 754, DBL_DIG); a longer one
// is taken if it does, too.
func exact(number string) (float64, error) {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errInexact
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	digits := strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
	same := strconv.FormatFloat(f, 'f', -1, 64) == number
	if len(digits) > 15 && !same || f == 0 && digits != "" {
		return 0, errInexact
	}
	return f, nil
}
