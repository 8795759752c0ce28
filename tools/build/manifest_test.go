package build_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/tools/build"
)

const manifest = `{"name": "x", "version": "1.0.0"}`

func TestAttachManifest(t *testing.T) {
	module := []byte("\x00asm\x01\x00\x00\x00")
	with, err := build.AttachManifest(module, []byte("{\n  \"name\": \"x\",\n  \"version\": \"1.0.0\"\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x00asm\x01\x00\x00\x00\x00\x2c\x0dweft.manifest" + `{"name":"x","version":"1.0.0"}`; string(with) != want {
		t.Errorf("got %q", with)
	}
	again, err := build.AttachManifest(with, []byte(manifest))
	if err != nil || !bytes.Equal(again, with) {
		t.Errorf("a second manifest was attached: %q, %v", again, err)
	}
	if _, err := build.AttachManifest(with, []byte(`{"name": "y", "version": "1.0.0"}`)); !errors.Is(err, build.ErrManifest) {
		t.Errorf("another manifest than the embedded one: %v", err)
	}
	for name, bad := range map[string]string{
		"no JSON": "{", "no name": `{"version": "1"}`, "no version": `{"name": "x"}`,
		"too long": `{"name": "x", "version": "` + strings.Repeat("1", abi.MaxManifest) + `"}`,
	} {
		if _, err := build.AttachManifest(module, []byte(bad)); !errors.Is(err, build.ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "ELF", "\x00asm\x02\x00\x00\x00", string(module) + "\x00\x7f", string(module) + "\x00"} {
		if _, err := build.AttachManifest([]byte(bad), []byte(manifest)); !errors.Is(err, build.ErrModule) {
			t.Errorf("%q was taken for a module: %v", bad, err)
		}
	}
}

// TestManifestAsks: a module that calls what its manifest does not ask for is not
// built.
func TestManifestAsks(t *testing.T) {
	// (module (import "weft" "log" (func (param i32 i32 i32))))
	module := []byte("\x00asm\x01\x00\x00\x00\x01\x07\x01\x60\x03\x7f\x7f\x7f\x00\x02\x0c\x01\x04weft\x03log\x00\x00")
	_, err := build.AttachManifest(module, []byte(manifest))
	if want := `does not ask for capability log: add "log": {"reason": "..."}`; !errors.Is(err, build.ErrManifest) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, expected %q", err, want)
	}
	asking := strings.Replace(manifest, "}", `, "capabilities": {"log": {"reason": "says what it does"}}}`, 1)
	if _, err := build.AttachManifest(module, []byte(asking)); err != nil {
		t.Error(err)
	}
}
