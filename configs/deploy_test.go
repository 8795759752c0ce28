package configs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/runtime/config"
)

// analyze runs systemd-analyze; without it the test is left out, but where CI asks for
// everything.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
			t.Fatal(err)
		}
		t.Skip("systemd-analyze is not here")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

// unit is weft.service with drop-ins, and with a program that is there, in a folder.
func unit(t *testing.T, dropIns ...string) (folder, file string) {
	t.Helper()
	folder = t.TempDir()
	text := textOf(t, "systemd/weft.service")
	for _, name := range dropIns {
		text += "\n" + textOf(t, "systemd/"+name)
	}
	file = filepath.Join(folder, "weft.service")
	text = strings.ReplaceAll(text, "ExecStart=/usr/bin/weft", "ExecStart=/bin/sh")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "weft.socket"), []byte(textOf(t, "systemd/weft.socket")), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, file
}

func textOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnits: systemd understands every line, and finds little that the service could do
// beyond its purpose (exposure in tenths, of 100).
func TestUnits(t *testing.T) {
	for _, c := range []struct {
		name     string
		exposure string
		dropIns  []string
	}{
		{"alone", "17", nil},
		{"sockets", "14", []string{"sockets.conf"}},
		{"fast path", "24", []string{"fastpath.conf"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder, file := unit(t, c.dropIns...)
			if out, err := analyze(t, "verify", "--man=no", file, filepath.Join(folder, "weft.socket")); err != nil || strings.Contains(out, folder) {
				t.Errorf("verify: %v\n%s", err, out)
			}
			if out, err := analyze(t, "security", "--offline=true", "--threshold="+c.exposure, file); err != nil {
				t.Errorf("it may do more than before: %v\n%s", err, out)
			}
		})
	}
}

// TestUnitsThatAreWrong: the check can fail.
func TestUnitsThatAreWrong(t *testing.T) {
	_, file := unit(t)
	text := strings.Replace(textOf(t, file), "ProtectHome=yes", "ProtectHomes=yes", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := analyze(t, "verify", "--man=no", file); !strings.Contains(out, "ProtectHomes") {
		t.Errorf("a key that systemd does not know passes:\n%s", out)
	}
}

// TestImages: both Dockerfiles make the same image.
func TestImages(t *testing.T) {
	last := func(file string) []string {
		_, stage, found := strings.Cut(textOf(t, file), "\nFROM scratch\n")
		if !found {
			t.Fatalf("%s: no stage from scratch", file)
		}
		return strings.Split(stage, "\n")[1:] // where the tree comes from differs
	}
	built, copied := last("docker/Dockerfile"), last("docker/Dockerfile.built")
	if strings.Join(built, "\n") != strings.Join(copied, "\n") {
		t.Errorf("they differ:\n%q\n%q", built, copied)
	}
}

// TestKubernetesConfiguration: the ConfigMap is a configuration that weft takes, with the
// drain that the manifests are made for.
func TestKubernetesConfiguration(t *testing.T) {
	for document := range bytes.SplitSeq([]byte(textOf(t, "kubernetes/weft.yaml")), []byte("\n---\n")) {
		var resource struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
		}
		if err := yaml.Unmarshal(document, &resource); err != nil {
			t.Fatal(err)
		}
		if resource.Kind != "ConfigMap" {
			continue
		}
		folder := t.TempDir()
		text := strings.NewReplacer("/etc/weft-tokens/", folder+"/", "/var/lib/weft", folder).Replace(resource.Data["weft.yaml"])
		for _, name := range []string{"ops", "metrics"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte("not a secret at all"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(folder, "weft.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Options{File: file})
		if err != nil {
			t.Fatal(err)
		}
		if c.Drain.Std() != 20*time.Second {
			t.Errorf("the drain is %v: terminationGracePeriodSeconds is made for 20s", c.Drain)
		}
		return
	}
	t.Error("no ConfigMap")
}
