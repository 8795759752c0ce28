package admin

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// strictJSON is the JSON of requests and answers. Unlike connect's own it refuses
// fields that it does not know, so that a misspelt one is not ignored, and writes
// the same text for the same message every time. The string is its name in a
// content type.
type strictJSON string

// Name is the codec's name in a content type.
func (c strictJSON) Name() string { return string(c) }

// Marshal writes compact JSON.
func (strictJSON) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, text)
	return compact.Bytes(), err
}

// Unmarshal reads JSON; an empty text is an empty message.
func (strictJSON) Unmarshal(text []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return protojson.Unmarshal(text, m)
}
