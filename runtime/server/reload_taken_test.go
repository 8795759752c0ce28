package server_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/ports"
)

// Two listeners that exchange their addresses, or one that takes that of another which
// goes, need two reloads: the error says so, and does not send anybody after a process that
// is weft itself. As it says, it works.
func TestReloadAnAddressThatWeftHas(t *testing.T) {
	f := startFiltering(t, "auto", reloaded)
	in, mqtt := f.address("in"), f.address("mqtt")
	a, b := `name: in, address: "127.0.0.1:0"`, `name: mqtt, address: "127.0.0.1:0"`
	at := func(name, address string) string { return fmt.Sprintf("name: %s, address: %q", name, address) }
	exchanged := strings.NewReplacer(a, at("in", mqtt), b, at("mqtt", in)).Replace(reloaded)
	refused := func(with, says string) {
		t.Helper()
		f.refused(reloaded, with, engine.ErrAddressInUse, says)
		if problems := strings.Join(f.ConfigStatus().Last.Problems, "\n"); strings.Contains(problems, "stop the process") || !strings.Contains(problems, "test.yaml:") {
			t.Errorf("it says %s", problems)
		}
	}
	refused(exchanged, "listener mqtt of this weft leaves it in the same reload")
	refused(exchanged, "listener in of this weft leaves it in the same reload")
	refused(strings.Replace(reloaded, a, at("again", in), 1), "and listener again come in the second")
	refused(strings.Replace(reloaded, "routes:\n", "  - {"+at("more", in)+", frame: line}\nroutes:\n", 1), "listener in of this weft listens on "+in)
	_, port, err := net.SplitHostPort(in)
	if err != nil {
		t.Fatal(err)
	}
	refused(strings.Replace(reloaded, "routes:\n", "  - {"+at("more", "0.0.0.0:"+port)+", frame: line}\nroutes:\n", 1), "listener in of this weft listens on "+in)

	away := strings.NewReplacer(a, at("in", reserved(t)), b, at("mqtt", reserved(t))).Replace(reloaded)
	f.reload(reloaded, away)
	f.reload(away, exchanged)
	if f.address("in") != mqtt || f.address("mqtt") != in {
		t.Errorf("in listens on %s, mqtt on %s", f.address("in"), f.address("mqtt"))
	}
}

// reserved is an address that nobody listens on, and that no process gets which asks for
// any.
func reserved(t testing.TB) string {
	t.Helper()
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return fmt.Sprintf("127.0.0.1:%d", port)
}
