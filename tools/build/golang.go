package build

import (
	"context"
	"os/exec"
)

// FindTinyGo tells whether TinyGo is on the PATH.
func FindTinyGo() bool {
	_, err := exec.LookPath("tinygo")
	return err == nil
}

func (b *Builder) golang(ctx context.Context, p *Plugin, out string) error {
	if b.cfg.TinyGo {
		if !FindTinyGo() {
			return &MissingError{"tinygo", "see https://tinygo.org/getting-started/install; Go's own compiler builds the same source, to a larger module"}
		}
		_, err := command(ctx, p.Folder, nil, "tinygo", "build", "-o", out,
			"-target=wasm-unknown", "-gc=precise", "-scheduler=none", "-no-debug", ".")
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return &MissingError{"Go", "1.24 or later: see https://go.dev/doc/install; or TinyGo: see https://tinygo.org/getting-started/install"}
	}
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local"}
	_, err := command(ctx, p.Folder, env, "go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid=", "-o", out, ".")
	return err
}
