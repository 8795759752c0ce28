package recording_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/recording"
)

func sample() []*recording.Entry {
	created := time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC)
	whole := abi.Message{
		Session: 1<<63 + 7, Seq: 1<<60 + 1, Time: created.UnixNano(), Flags: abi.FlagRetain, Type: abi.TypeRequest, Priority: 7, QoS: 2,
		Topic:   []byte("a/b"),
		Attrs:   abi.Attributes(nil).AppendString("z", "1").AppendString("a", "<&>").Append("raw", []byte{0xff, 0}),
		Context: abi.Attributes(nil).AppendString("twice", "1").AppendString("twice", "2"),
		Payload: []byte{0, 1, 0xfe, '\n'},
	}
	odd := abi.Message{Topic: []byte{'a', 0xff}, Payload: []byte("x")}
	changed := whole
	changed.Payload, changed.Topic = nil, []byte("c")
	return []*recording.Entry{
		{Batch: 1, Hook: "open", Message: recording.Message{Session: 5, Listener: "l"}, Outcome: recording.Outcome{Verdict: "continue"}},
		{Batch: 2, Hook: "messages", Message: recording.NewMessage(&whole, "trucks"), Outcome: recording.Outcome{
			Verdict: "drop", Plugin: "p", Generation: 3, Cause: "trap", Out: []byte("why"),
			Changed:       recording.NewChanged(abi.ChangesKnown, &changed),
			Emitted:       []recording.Message{recording.NewMessage(&odd, "trucks")},
			Subscriptions: []recording.Subscription{{Pattern: recording.Text("a/#"), QoS: 1, Remove: true}},
		}},
		{Batch: 2, Hook: "messages", Message: recording.NewMessage(&odd, "api"), Outcome: recording.Outcome{Verdict: "continue"}},
	}
}

func write(t *testing.T, h recording.Header, entries []*recording.Entry) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w, err := recording.NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(recording.End{Why: "count", Missed: 2}); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	h := recording.Header{Weft: "v1", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Listener: "l", Plugin: "p", Chain: []string{"p", "q"}}
	want := sample()
	r, err := recording.NewReader(write(t, h, want))
	if err != nil {
		t.Fatal(err)
	}
	h.Version, h.Every = recording.Version, 1
	if got := r.Header(); !reflect.DeepEqual(got, h) {
		t.Errorf("the header is %+v", got)
	}
	for i, w := range want {
		got, err := r.Next()
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if !reflect.DeepEqual(got, w) {
			t.Errorf("entry %d:\n got %+v\nwant %+v", i, got, w)
		}
		if r.End() != nil {
			t.Error("an end before the end")
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last one: %v", err)
	}
	if end := r.End(); end == nil || end.Messages != 3 || end.Missed != 2 || end.Complete() {
		t.Errorf("the end is %+v", end)
	}
}

func TestAMessageComesBackAsItWas(t *testing.T) {
	m := abi.Message{
		Session: 9, Seq: 4, Time: 1, Listener: 2, Flags: abi.FlagRedelivered, Type: abi.TypeAck, Priority: 1, QoS: 1,
		Topic: []byte("t"), Attrs: abi.Attributes(nil).AppendString("k", ""), Payload: []byte("p"),
	}
	line := recording.NewMessage(&m, "l")
	if got, err := line.ABI(2); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, m)
	}
}

func TestWhatIsNoRecording(t *testing.T) {
	const header = `{"weft_recording":1,"created":"2026-01-01T00:00:00Z","every":1}` + "\n"
	for name, c := range map[string]struct {
		text string
		want error
		says string
	}{
		"nothing":          {"", recording.ErrNotRecording, "weft_recording"},
		"another text":     {"hello\n", recording.ErrNotRecording, "hello"},
		"a newer one":      {`{"weft_recording":2}`, recording.ErrVersion, "reads 1"},
		"a broken line":    {header + `{"hook":"messages","batch":1`, recording.ErrMalformed, "line 2"},
		"an unknown hook":  {header + `{"hook":"tick"}`, recording.ErrMalformed, "open, messages, close or resume"},
		"an unknown type":  {header + `{"hook":"open","type":"letter"}`, recording.ErrMalformed, "letter"},
		"attributes twice": {header + `{"hook":"open","attributes":[["a"]]}`, recording.ErrMalformed, "array"},
		"an empty name":    {header + `{"hook":"open","attributes":{"":"x"}}`, recording.ErrMalformed, "not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := recording.NewReader(strings.NewReader(c.text))
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

func TestARecordingThatWasCutOffHasNoEnd(t *testing.T) {
	b := write(t, recording.Header{}, sample()).String()
	at := strings.LastIndex(strings.TrimSpace(b), "\n")
	r, err := recording.NewReader(strings.NewReader(b[:at+1]))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil; n++ {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) || n != 4 || r.End() != nil || r.End().Complete() {
		t.Errorf("%d entries, %v, end %+v", n-1, err, r.End())
	}
}

func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	w, _ := recording.NewWriter(&b, recording.Header{})
	for _, e := range sample() {
		_ = w.Write(e)
	}
	_ = w.Close(recording.End{})
	f.Add(b.Bytes())
	f.Add([]byte(`{"weft_recording":1}` + "\n" + `{"hook":"open","attributes":[["a","b"]],"topic":{"base64":"/w=="}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := recording.NewReader(bytes.NewReader(text))
		if err != nil {
			return
		}
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			// What was read once is written so that it is read the same again.
			again := write(t, r.Header(), []*recording.Entry{e})
			r2, err := recording.NewReader(again)
			if err != nil {
				t.Fatal(err)
			}
			second, err := r2.Next()
			if err != nil {
				t.Fatalf("%v in %s", err, again)
			}
			a, b := write(t, recording.Header{}, []*recording.Entry{e}), write(t, recording.Header{}, []*recording.Entry{second})
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Fatalf("%s\nis not\n%s", a, b)
			}
		}
	})
}
