package load

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func rendered(t *testing.T, text string, v templateValues) string {
	t.Helper()
	template, err := ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	v.now = func() time.Time { return time.Unix(1, 2_003_004) }
	return string(template.append(nil, &v))
}

func TestTemplates(t *testing.T) {
	v := templateValues{topic: "a/b", n: 2, client: 3, seq: 4, seed: 5, undetermined: true}
	for text, want := range map[string]string{
		"{topic} {n} {client} {seq}": "a/b 2 3 4", `{"a":{"b":{seq}}}`: `{"a":{"b":4}}`, "{other} {": "{other} {",
		"{time:s} {time:ms} {time:us} {time:ns}": "1 1002 1002003 1002003004", "{time}": "1970-01-01T00:00:01.002003004Z",
		"{stamp}{pad}": "{stamp}{pad}", "{random:7..7}": "7", "{choice:x}": "x", "": "",
	} {
		if got := rendered(t, text, v); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"{random:1}", "{random:2..1}", "{random:a..b}", "{bytes:0}", "{bytes:x}", "{text:9999999}", "{choice}", "{seq:1}", "{time:h}"} {
		if _, err := ParseTemplate(text); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// TestDrawsAreDetermined: the same seed, client, message and text give the same value,
// and another of each gives another.
func TestDrawsAreDetermined(t *testing.T) {
	const text = "{bytes:8} {random:1..1000000000}"
	v := templateValues{client: 3, seq: 4, seed: 5}
	base := rendered(t, text, v)
	if again := rendered(t, text, v); again != base {
		t.Errorf("%q, then %q", base, again)
	}
	for name, other := range map[string]templateValues{"seed": {client: 3, seq: 4, seed: 6}, "client": {client: 4, seq: 4, seed: 5}, "seq": {client: 3, seq: 5, seed: 5}} {
		if rendered(t, text, other) == base {
			t.Errorf("another %s changes nothing", name)
		}
	}
	a, b, _ := strings.Cut(rendered(t, "{random:1..1000000000} {random:1..1000000000}", v), " ")
	c := rendered(t, "{random:1..1000000000#2}", v)
	if a != b || a == c {
		t.Errorf("%s, %s, and labelled %s", a, b, c)
	}
	for seq := range uint64(2000) {
		v.seq = seq
		if got := rendered(t, "{random:0.5..0.7}", v); got != "0.5" && got != "0.6" && got != "0.7" {
			t.Fatalf("%s is out of its range", got)
		}
	}
}

// TestSchedule: due is the inverse of until, over steps and over an even rise.
func TestSchedule(t *testing.T) {
	for name, c := range map[string]Config{
		"rate": {Rate: 100}, "steps": {Steps: Ramp(100, 500, 5, time.Second), Warmup: 500 * time.Millisecond},
		"rise": {Steps: []Step{{From: 10, To: 1000, For: 3 * time.Second}, {From: 1000, For: time.Second}}}, "fall": {Steps: Ramp(1000, 10, 1, 2*time.Second)},
	} {
		s := newSchedule(&c)
		for g, last := 0.0, -1.0; g < 900; g++ {
			due := s.due(g)
			if due <= last || math.Abs(s.until(due)-g) > 1e-6 {
				t.Fatalf("%s: message %g is due at %g after %g, when %g were due before", name, g, due, last, s.until(due))
			}
			last = due
		}
	}
	if got := newSchedule(&Config{Steps: Ramp(100, 300, 3, time.Second)}).rate(1e9, 2e9); got != 200 {
		t.Errorf("the second step has %g", got)
	}
}

func TestSameJSON(t *testing.T) {
	for _, c := range []struct {
		want, got     string
		equal, subset bool
	}{
		{`1`, `1.0`, true, true}, {`{"a":1}`, `{"a":1,"b":2}`, false, true}, {`{"a":[{"b":1}]}`, `{"a":[{"b":1,"c":2}]}`, false, true},
		{`[1,2]`, `[1]`, false, false}, {`{"a":null}`, `{}`, false, false}, {`"x"`, `"x"`, true, true}, {`9007199254740993`, `9007199254740992`, false, false},
	} {
		var want, got any
		if err := errors.Join(readJSON([]byte(c.want), &want), readJSON([]byte(c.got), &got)); err != nil {
			t.Fatal(err)
		}
		if a, b := sameJSON(want, got, false), sameJSON(want, got, true); a != c.equal || b != c.subset {
			t.Errorf("%s and %s: equal %v, subset %v", c.want, c.got, a, b)
		}
	}
}
