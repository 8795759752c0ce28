package abi_test

import (
	"errors"
	"testing"

	"github.com/weftrun/weft/abi"
)

func TestParseVersionExport(t *testing.T) {
	for name, want := range map[string]abi.Version{"weft_abi_1_0": {1, 0}, "weft_abi_2_13": {2, 13}} {
		if got, ok := abi.ParseVersionExport(name); !ok || got != want {
			t.Errorf("%s: got %v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"weft_abi_", "weft_abi_1", "weft_abi_1_x", "weft_abi_-1_0", "weft_init", "weft_abi_1_0_0"} {
		if v, ok := abi.ParseVersionExport(name); ok {
			t.Errorf("%s was taken for version %v", name, v)
		}
	}
	host := abi.Version{Major: 1, Minor: 2}
	for guest, want := range map[abi.Version]bool{{1, 0}: true, {1, 2}: true, {1, 3}: false, {2, 0}: false, {0, 9}: false} {
		if host.Runs(guest) != want {
			t.Errorf("host %v, guest %v: got %t", host, guest, !want)
		}
	}
}

func TestAttributes(t *testing.T) {
	a := abi.Attributes(nil).AppendString("identity", "truck-7").AppendString("alarm", "high").AppendString("alarm", "second")
	if v, ok := a.Get("alarm"); !ok || string(v) != "high" {
		t.Fatalf("alarm: %q, %t", v, ok)
	}
	if _, ok := a.Get("nothing"); ok {
		t.Fatal("found an attribute that is not there")
	}
	if err := a.Validate(abi.MaxAttrs); err != nil {
		t.Fatal(err)
	}
	over := abi.Attributes(nil).AppendString("alarm", "").AppendString("site", "north")
	merged := a.Merge(nil, over)
	if _, ok := merged.Get("alarm"); ok {
		t.Error("an empty value did not remove the attribute")
	}
	if v, _ := merged.Get("site"); string(v) != "north" {
		t.Errorf("site: %q", v)
	}
	for cut := 1; cut < len(a); cut++ {
		block := a[:cut]
		for range block.All() {
		}
		block.Get("alarm")
		if err := block.Validate(abi.MaxAttrs); err != nil && !errors.Is(err, abi.ErrAttributes) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	if err := a.Validate(4); !errors.Is(err, abi.ErrAttributes) {
		t.Errorf("a block over the limit: %v", err)
	}
	if err := (abi.Attributes{0, 0, 1, 0, 'x'}).Validate(99); !errors.Is(err, abi.ErrAttributes) {
		t.Errorf("an empty name: %v", err)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte(abi.Attributes(nil).AppendString("a", "b")))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := abi.Attributes(b)
		valid := a.Validate(len(b)) == nil
		var again abi.Attributes
		for name, value := range a.All() {
			again = again.Append(string(name), value)
		}
		if valid && string(again) != string(b) {
			t.Fatalf("%x came back as %x", b, again)
		}
	})
}

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]abi.Destination{
		"subscribers":  {Kind: abi.ToSubscribers},
		"topic:a/b":    {Kind: abi.ToSubscribers, Name: []byte("a/b")},
		"node:17":      {Kind: abi.ToNode, Name: []byte("17")},
		"node:a:b":     {Kind: abi.ToNode, Name: []byte("a:b")},
		"all":          {Kind: abi.ToAll},
		"queue:work":   {Kind: abi.ToQueue, Name: []byte("work")},
		"upstream:api": {Kind: abi.ToUpstream, Name: []byte("api")},
		"reply":        {Kind: abi.ToReply},
		"dead-letter":  {Kind: abi.ToDeadLetter},
	} {
		got, err := abi.ParseDestination([]byte(text))
		if err != nil || got.Kind != want.Kind || string(got.Name) != string(want.Name) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "node", "node:", "topic", "topic:", "all:x", "reply:", "subscribers:x", "elsewhere", ":x"} {
		if d, err := abi.ParseDestination([]byte(text)); !errors.Is(err, abi.ErrDestination) {
			t.Errorf("%q was taken for %v, %v", text, d, err)
		}
	}
	text := []byte("topic:truck/7/telemetry")
	if n := testing.AllocsPerRun(100, func() { _, _ = abi.ParseDestination(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
