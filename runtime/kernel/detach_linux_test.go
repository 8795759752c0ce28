package kernel

import (
	"errors"
	"strings"
	"testing"
)

// TestDetachWhileItRuns: who detaches wants no packet dropped: the process that runs does
// not attach again, but one that is started does.
func TestDetachWhileItRuns(t *testing.T) {
	if !alone(t) {
		return
	}
	cable(t, 1500)
	pin := pinFolder(t)
	k := open(t, Options{Pin: pin})
	if s := k.Status().Interfaces[0]; s.Mode == "" || !s.Pinned {
		t.Fatalf("%+v", s)
	}
	if err := Detach(pin); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		k.look()
		if s := k.Status().Interfaces[0]; s.Mode != "" || s.Whole || s.Pinned || !strings.Contains(s.Problem, "detach") {
			t.Fatalf("it is attached again: %+v", s)
		}
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if s := open(t, Options{Pin: pin}).Status().Interfaces[0]; s.Mode == "" || !s.Pinned {
		t.Fatalf("%+v", s)
	}
}

// TestOneProcessAFolder: a second process does not take the rules of one that runs.
func TestOneProcessAFolder(t *testing.T) {
	if !alone(t) {
		return
	}
	cable(t, 1500)
	pin := pinFolder(t)
	k := open(t, Options{Pin: pin})
	second, err := Open(Options{Interfaces: []string{"near"}, Pin: pin})
	if err == nil {
		_ = second.Close()
	}
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), pin) {
		t.Fatalf("a second one: %v", err)
	}
	if s := k.Status().Interfaces[0]; s.Mode == "" || !s.Pinned {
		t.Errorf("the first one: %+v", s)
	}
	if Left(pin) {
		t.Error("what a process keeps is left")
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if !Left(pin) {
		t.Error("what a process has left is not seen")
	}
	open(t, Options{Pin: pin})
}
