package hostfuncs_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/weftrun/weft/hostfuncs"
)

// TestLowerBoundsAreSaidToWait: a namespace keeps the largest bounds, and the log says so.
func TestLowerBoundsAreSaidToWait(t *testing.T) {
	kv := hostfuncs.NewKV(nil)
	load := func(size, entries int64) string {
		var lines strings.Builder
		_, err := hostfuncs.New(hostfuncs.Config{Plugin: "p", KV: kv, Logger: slog.New(slog.NewTextHandler(&lines, nil)),
			Grants: hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: "n", Size: size, Entries: entries}}})
		if err != nil {
			t.Fatal(err)
		}
		return lines.String()
	}
	for _, c := range []struct {
		size, entries int64
		says          string
	}{
		{0, 0, ""}, {2 << 20, 10, ""}, {2 << 20, 10, ""}, {2 << 20, 0, ""},
		{1 << 20, 10, "size=2097152 granted_size=1048576"}, {2 << 20, 9, "entries=10 granted_entries=9"}, {0, 0, "granted_size=1048576"}, {3 << 20, 11, ""},
	} {
		if got := load(c.size, c.entries); c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%d bytes, %d entries: the log says %q, expected %q", c.size, c.entries, got, c.says)
		}
	}
}
