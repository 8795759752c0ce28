package backbone_test

import (
	"log/slog"
	"testing"

	"github.com/weftrun/weft/runtime/backbone"
)

func TestOpen(t *testing.T) {
	b, err := backbone.Open(t.Context(), backbone.Options{Node: "one", Dir: t.TempDir(), Size: 1 << 26, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
