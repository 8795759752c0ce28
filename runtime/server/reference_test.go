package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
)

// A secret that the configuration names and does not hold is read again when the
// configuration is, though that is as it was; neither the log nor the metrics nor the API
// show it, whatever goes wrong with it.
func TestASecretByReference(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("reply planted-1\n")
	s := open(t, "auto", `"reply one"`, `"${file:`+secret+`}"`, `api: {address: ""}`, `api: {address: "127.0.0.1:0"}`)
	c := s.dial("lines")
	if got := c.ask("x"); got != "planted-1" {
		t.Errorf("the plugin says %q", got)
	}
	s.reload()
	if !strings.Contains(s.log.String(), "nothing has changed") {
		t.Error("a configuration that is as it was was read again")
	}
	set("reply planted-2\n")
	s.reload()
	if got := c.ask("x"); got != "planted-2" {
		t.Errorf("the plugin says %q", got)
	}
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	err := s.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "plugins.guest.config.messages") {
		t.Errorf("without its file: %v", err)
	}
	_, metrics := get(t, s.url()+"/metrics")
	list, err := s.Rollouts().List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := s.log.String() + metrics
	for _, p := range list {
		shown += protojson.Format(p)
	}
	if at := strings.Index(shown, "planted"); at >= 0 {
		t.Errorf("the secret is shown: %s", shown[max(0, at-200):min(len(shown), at+200)])
	}
}
