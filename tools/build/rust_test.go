package build

import "testing"

// TestWhatCargoSays leaves out what is for programs.
func TestWhatCargoSays(t *testing.T) {
	const said = "error[E0658]: use of unstable\n  --> src/lib.rs:29:75\n\n" +
		`{"reason":"compiler-artifact","target":{"name":"weft"}}` + "\n" + `{"reason":"build-finished","success":false}`
	if got := withoutMessages(said); got != "error[E0658]: use of unstable\n  --> src/lib.rs:29:75" {
		t.Errorf("got %q", got)
	}
}
