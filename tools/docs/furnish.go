package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// inside is set for the copy of this program that has a network of its own.
const inside = "WEFT_DOCS_ALONE"

// standIns are small programs that are found before the real ones. What they do is what
// the document's command does, in less time or with more words.
func (b *bench) standIns(realGo string) error {
	nats := filepath.Join(b.bin, "nats-server")
	scripts := map[string]string{
		// The weft that was built at the beginning is what go run would build again.
		"go": fmt.Sprintf(`#!/bin/bash
case "$1 $2" in
"run ./tools/weft") shift 2; exec weft "$@" ;;
"install ./tools/weft") exit 0 ;;
"build -o") [[ $4 == ./tools/weft && $# == 4 ]] && exec cp %[1]s "$3" ;;
"run github.com/nats-io/nats-server/v2@"*) shift 2; exec %[2]s "$@" ;;
"run ./tools/"* | "test "*) cd %[3]s && exec %[4]s "$@" ;;
esac
exec %[4]s "$@"
`, filepath.Join(b.bin, "weft"), nats, b.repository, realGo),
		// It says when it is subscribed, and does not keep lines back.
		"mosquitto_sub": "#!/bin/bash\nexec stdbuf -oL /usr/bin/mosquitto_sub -d \"$@\"\n",
	}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(b.bin, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

var natsRun = regexp.MustCompile(`go run (github\.com/nats-io/nats-server/v2)@(v[\d.]+)`)

// build makes the programs that scenes run: weft, and a NATS server if one is started.
func (b *bench) build(list []scene) error {
	realGo, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	run := func(folder string, args ...string) error {
		cmd := exec.Command(realGo, args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := run(b.repository, "build", "-o", filepath.Join(b.bin, "weft"), "./tools/weft"); err != nil {
		return err
	}
	if m := natsRun.FindStringSubmatch(textOf(list)); m != nil {
		// As weft requires it, which needs nothing from outside: this has no network.
		required, err := os.ReadFile(filepath.Join(b.repository, "go.mod"))
		if err != nil {
			return err
		}
		if !strings.Contains(string(required), m[1]+" "+m[2]+"\n") {
			return fmt.Errorf("%s@%s is not what go.mod requires", m[1], m[2])
		}
		if err := run(b.repository, "build", "-o", filepath.Join(b.bin, "nats-server"), m[1]); err != nil {
			return err
		}
	}
	return b.standIns(realGo)
}

// textOf is everything that the scenes run.
func textOf(list []scene) string {
	var all strings.Builder
	for _, s := range list {
		for _, bl := range s.blocks {
			all.WriteString(bl.text + "\n")
		}
	}
	return all.String()
}

// furnish puts those folders of the repository into a scene's folder that its commands
// speak of: examples as a copy, the rest as a link.
func (b *bench) furnish(s scene, folder string) error {
	var all strings.Builder
	for _, bl := range s.blocks {
		all.WriteString(bl.text)
		for _, o := range bl.orders {
			all.WriteString(o.rest + "\n")
		}
	}
	for _, name := range []string{"examples", "configs", "plugins", "abi", "runtime"} {
		if !regexp.MustCompile(`(^|[\s'"(=./])` + name + `/`).MatchString(all.String()) {
			continue
		}
		from, to := filepath.Join(b.repository, name), filepath.Join(folder, name)
		if name == "examples" {
			if err := copyExamples(from, to, folder); err != nil {
				return err
			}
		} else if err := os.Symlink(from, to); err != nil {
			return err
		}
	}
	return nil
}

// copyExamples copies a folder. What its configurations keep below /tmp is then below
// the scene's folder, and goes with it.
func copyExamples(from, to, folder string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(to, "*", "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), " /tmp/", " "+folder+"/")), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// environment is what commands see: nothing of weft's that the caller has set, and a
// place of the scene's own for what has to survive.
func (b *bench) environment(logs string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WEFT_") && !strings.HasPrefix(e, "PATH=") && !strings.HasPrefix(e, "XDG_STATE_HOME=") {
			env = append(env, e)
		}
	}
	return append(env, "PATH="+b.bin+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+filepath.Join(logs, "state"), "REPOSITORY="+b.repository, "OUTPUTS="+logs)
}

// lacks names something that a scene needs and this machine does not have.
func (b *bench) lacks(s scene) string {
	for _, bl := range s.blocks {
		if _, skipped := bl.has("skip"); skipped || bl.kind != shell && bl.kind != console {
			continue
		}
		for _, name := range programs.FindAllString(bl.text, -1) {
			if _, err := exec.LookPath(name); err != nil {
				return name
			}
		}
		for word, file := range map[string]string{
			"--lang rust":           "/usr/lib/rustlib/wasm32-unknown-unknown",
			"--lang assemblyscript": filepath.Join(b.repository, "abi/sdk/assemblyscript/node_modules"),
		} {
			if _, err := os.Stat(file); err != nil && strings.Contains(bl.text, word) {
				return file
			}
		}
	}
	return ""
}
