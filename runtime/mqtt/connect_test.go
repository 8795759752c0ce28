package mqtt

import (
	"errors"
	"testing"
	"time"
)

func TestStart(t *testing.T) {
	for _, c := range []struct {
		name  string
		got   Start
		found bool
		want  Start
		there bool
	}{
		{"5, no expiry", Begin5(false, 0, 0), true, Start{}, true},
		{"5, clean", Begin5(true, 60, 0), true, Start{Clean: true, Expiry: 60}, false},
		{"5, bounded", Begin5(false, 60, 50), true, Start{Expiry: 50, Told: true}, true},
		{"5, for ever", Begin5(false, Forever, 0), false, Start{Expiry: Forever}, false},
		{"5, for ever, bounded", Begin5(false, Forever, 50), true, Start{Expiry: 50, Told: true}, true},
		{"3, clean", Begin3(true, 50), true, Start{Clean: true}, false},
		{"3, persistent", Begin3(false, 0), true, Start{Expiry: Forever}, true},
		{"3, persistent, bounded", Begin3(false, 50), false, Start{Expiry: 50}, false},
	} {
		if c.got != c.want || c.got.Present(c.found) != c.there {
			t.Errorf("%s: %+v, present %v", c.name, c.got, c.got.Present(c.found))
		}
	}
}

func TestLeaving(t *testing.T) {
	if e, err := (Start{Expiry: 60}).Leaving(Forever, 500); e != 500 || err != nil {
		t.Error(e, err)
	}
	if e, err := (Start{Expiry: 60}).Leaving(0, 500); e != 0 || err != nil {
		t.Error(e, err)
	}
	if _, err := (Start{}).Leaving(10, 500); !errors.Is(err, ErrExpiry) {
		t.Error(err)
	}
	if e, err := (Start{}).Leaving(0, 500); e != 0 || err != nil {
		t.Error(e, err)
	}
}

func TestKeepAlive(t *testing.T) {
	if Silence(0) != 0 || Silence(30) != 45*time.Second || Silence(1) != 1500*time.Millisecond || Silence(65535) != 65535*1500*time.Millisecond {
		t.Error("one and a half times")
	}
	for _, c := range []struct {
		asked, most, want uint16
		told              bool
	}{{60, 0, 60, false}, {0, 0, 0, false}, {60, 90, 60, false}, {100, 90, 90, true}, {0, 90, 90, true}} {
		if got, told := KeepAlive(c.asked, c.most); got != c.want || told != c.told {
			t.Errorf("%+v: %d %v", c, got, told)
		}
	}
}

func TestAssignClientID(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id, err := AssignClientID(func(id string) bool { return id[0] < 'E' })
		if err != nil || seen[id] || len(id) != 26 || id[0] >= 'E' {
			t.Fatalf("%q %v", id, err)
		}
		seen[id] = true
	}
	if _, err := AssignClientID(func(string) bool { return false }); !errors.Is(err, ErrNoClientID) {
		t.Fatal(err)
	}
}

func TestClientsBound(t *testing.T) {
	r, clients := newRig(t, Limits{}), NewClients(1)
	if err := clients.Put(Key{ClientID: "a"}, r.s); err != nil {
		t.Fatal(err)
	}
	if err := clients.Put(Key{ClientID: "b"}, r.s); !errors.Is(err, ErrClients) {
		t.Fatal(err)
	}
	if err := clients.Put(Key{ClientID: "a"}, NewSession(r.store, 2, &Limits{})); err != nil || clients.Len() != 1 {
		t.Fatal("a key that has a session changes it", err)
	}
}
