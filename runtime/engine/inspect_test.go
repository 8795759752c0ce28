package engine

import "testing"

func TestConnIDText(t *testing.T) {
	for _, id := range []ConnID{1, 1<<loopShift | 7<<slotBits | 3, MaxLoops<<loopShift | maxGeneration<<slotBits | slotMask} {
		if back, ok := ParseConnID(id.String()); !ok || back != id {
			t.Errorf("%s is read as %v, %v", id, back, ok)
		}
	}
	for _, text := range []string{"", "1", "1-2", "1-2-3-4", "-1-2-3", "256-0-1", "0-16777216-1", "0-0-2147483648", "00-1-1", "a-b-c", "0-1-1 "} {
		if id, ok := ParseConnID(text); ok {
			t.Errorf("%q is read as %v", text, id)
		}
	}
}
