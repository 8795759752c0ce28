package server_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/server"
)

// Who is asked to stop before its loops have begun has ended well.
func TestStopBeforeItRuns(t *testing.T) {
	cfg, err := config.Load(config.Options{File: "weft.yaml", Data: []byte("listeners: [{name: lines, address: \"127.0.0.1:0\", frame: line}]\napi: {address: \"\"}\n")})
	if err != nil {
		t.Fatal(err)
	}
	asked, stop := context.WithCancel(t.Context())
	stop()
	for range 200 {
		s, err := server.New(t.Context(), server.Options{Config: cfg, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(asked); err != nil {
			t.Fatal(err)
		}
	}
}
