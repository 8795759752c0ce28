package delivery_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
)

func sampleRecord() delivery.Record {
	return delivery.Record{
		Node: []byte("north"), From: []byte("truck-7"), Listener: []byte("trucks"),
		Message: abi.Message{
			Type: abi.TypeRequest, Priority: 5, QoS: 1, Flags: abi.FlagRetain, Seq: 1 << 40, Time: -3,
			Topic: []byte("a/b"), Attrs: abi.Attributes(nil).AppendString("k", "v"),
			Context: abi.Attributes(nil).AppendString("role", "driver"), Payload: []byte{0, 1, 2},
		},
	}
}

func TestRecord(t *testing.T) {
	for _, want := range []delivery.Record{{}, sampleRecord()} {
		b := delivery.AppendRecord(nil, &want)
		var got delivery.Record
		if err := delivery.ParseRecord(b, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for n := range b {
			if err := delivery.ParseRecord(b[:n], &got); !errors.Is(err, delivery.ErrRecord) {
				t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
			}
		}
		if err := delivery.ParseRecord(append(b, 0), &got); !errors.Is(err, delivery.ErrRecord) {
			t.Errorf("a byte too many: %v", err)
		}
	}
	r := sampleRecord()
	b := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { b = delivery.AppendRecord(b[:0], &r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRecord(f *testing.F) {
	r := sampleRecord()
	f.Add(delivery.AppendRecord(nil, &r))
	f.Add(delivery.AppendRecord(nil, &delivery.Record{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r delivery.Record
		if err := delivery.ParseRecord(b, &r); err != nil {
			return
		}
		if again := delivery.AppendRecord(nil, &r); !bytes.Equal(again, b) {
			t.Errorf("% x became % x", b, again)
		}
	})
}
