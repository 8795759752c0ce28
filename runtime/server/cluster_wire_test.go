package server

import (
	"bytes"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
)

// FuzzFar reads batches as other nodes send them: whatever they are, what is read lies
// within them, and a record says again what it was made of.
func FuzzFar(f *testing.F) {
	h := farRecord{kind: farTopic, flags: farPlain, name: []byte("n"), groups: []uint64{7, 8}, key: 1, token: 2, epoch: 3, wait: 4}
	b := h.append(nil)
	b = delivery.AppendRecord(b, &delivery.Record{Message: abi.Message{Topic: []byte("a/b"), Payload: []byte("x")}})
	le.PutUint32(b, uint32(len(b)-farSize))
	f.Add(append(b, b...))
	f.Add([]byte{24, 0, 0, 0})
	f.Fuzz(func(t *testing.T, batch []byte) {
		for rest := batch; len(rest) > 0; {
			record, behind, err := cutFar(rest)
			if err != nil {
				return
			}
			if len(record)+len(behind)+farSize != len(rest) {
				t.Fatalf("%d bytes were cut into %d and %d", len(rest), len(record), len(behind))
			}
			rest = behind
			var h farRecord
			message, err := parseFar(record, &h)
			if err != nil {
				continue
			}
			for packed := h.packed; len(packed) > 0; packed = packed[8:] {
				key := le.Uint64(packed)
				h.groups = append(h.groups, key)
				if !h.wants(key) {
					t.Fatalf("it does not want %x, which is in it", key)
				}
			}
			again := append(h.append(nil)[farSize:], message...)
			le.PutUint16(again[14:], le.Uint16(record[14:])) // which nothing is made of
			if !bytes.Equal(again, record) {
				t.Fatalf("%x became %x", record, again)
			}
			var r delivery.Record
			topic := delivery.RecordTopic(message)
			if delivery.ParseRecord(message, &r) == nil && !bytes.Equal(topic, r.Message.Topic) {
				t.Fatalf("the topic is %q, it was read as %q", r.Message.Topic, topic)
			}
		}
	})
}
