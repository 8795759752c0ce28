package codec_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/codec"
)

// sample is a telemetry message of 150 bytes as JSON.
const sample = `{"device":"truck-7","seq":9007199254740993,"temperature":9.5,"gps":{"lat":48.137154,"lon":11.576124},"tags":["cold","chain"],"ok":true,"note":null}`

func samples(t testing.TB, c codec.Codec) []byte {
	if c == codec.Protobuf {
		return wire()
	}
	out, err := compile(t, codec.JSON, c, codec.Limits{}).Append(nil, []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNothingIsAllocated(t *testing.T) {
	if underRace {
		t.Skip("the race detector lets pools forget")
	}
	for _, from := range []codec.Codec{codec.JSON, codec.MessagePack, codec.CBOR} {
		for _, to := range []codec.Codec{codec.JSON, codec.MessagePack, codec.CBOR} {
			c, in, dst := compile(t, from, to, codec.Limits{}), samples(t, from), make([]byte, 0, 1024)
			var err error
			if n := testing.AllocsPerRun(200, func() { _, err = c.Append(dst, in) }); n >= 1 || err != nil {
				t.Errorf("%s to %s: %v allocations, %v", from, to, n, err)
			}
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	for _, c := range [][2]codec.Codec{
		{codec.JSON, codec.MessagePack}, {codec.JSON, codec.CBOR}, {codec.MessagePack, codec.JSON}, {codec.CBOR, codec.JSON}, {codec.CBOR, codec.MessagePack},
		{codec.Protobuf, codec.JSON}, {codec.Protobuf, codec.CBOR},
	} {
		b.Run(c[0].String()+"-"+c[1].String(), func(b *testing.B) {
			converter, in, dst := compile(b, c[0], c[1], codec.Limits{}), samples(b, c[0]), make([]byte, 0, 1024)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := converter.Append(dst, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("json-protobuf", func(b *testing.B) {
		converter, dst := compile(b, codec.JSON, codec.Protobuf, codec.Limits{}), make([]byte, 0, 1024)
		b.ReportAllocs()
		b.SetBytes(int64(len(telemetryJSON)))
		for b.Loop() {
			if _, err := converter.Append(dst, []byte(telemetryJSON)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
