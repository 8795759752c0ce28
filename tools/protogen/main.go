// Command protogen generates the Go code of the API from runtime/admin/proto.
//
//	go run ./tools/protogen          writes runtime/admin/weftv1
//	go run ./tools/protogen -check   writes nothing; fails when the committed
//	                                 code is not what the definitions give
//	go run ./tools/protogen -release keeps the definitions as those of a release
//
// Each of them but the last fails when a client of the last release would not understand
// the definitions any more, by wire or JSON: runtime/admin/released.binpb has what it knows.
//
// It needs no installed tools: buf runs at the version below, the two plugins at
// the versions in go.mod.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

const (
	buf       = "github.com/bufbuild/buf/cmd/buf@v1.61.0"
	folder    = "runtime/admin"
	generated = "weftv1"
	released  = "released.binpb" // an image of buf: the definitions of the last release
)

func main() {
	check := flag.Bool("check", false, "compare with the committed code instead of writing it")
	release := flag.Bool("release", false, "keep the definitions as those of a release, with which later ones must agree")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *check, *release)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, check, release bool) error {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	admin := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), filepath.FromSlash(folder))
	if err := runBuf(ctx, admin, "lint"); err != nil {
		return err
	}
	if release {
		return runBuf(ctx, admin, "build", "--exclude-source-info", "--output", released)
	}
	if err := runBuf(ctx, admin, "breaking", "--against", released); err != nil {
		return err
	}
	if !check {
		return runBuf(ctx, admin, "generate")
	}
	fresh, err := os.MkdirTemp("", "protogen-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	if err := runBuf(ctx, admin, "generate", "--output", fresh); err != nil {
		return err
	}
	return compare(filepath.Join(admin, generated), filepath.Join(fresh, generated))
}

func runBuf(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", buf}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("buf %s: %w", args[0], err)
	}
	return nil
}

// compare fails where the two folders do not hold the same files.
func compare(committed, fresh string) error {
	want, err := contents(fresh)
	if err != nil {
		return err
	}
	have, err := contents(committed)
	if err != nil {
		return err
	}
	var differences []error
	for name, text := range want {
		if !bytes.Equal(have[name], text) {
			differences = append(differences, fmt.Errorf("%s is out of date", filepath.Join(committed, name)))
		}
		delete(have, name)
	}
	for name := range have {
		differences = append(differences, fmt.Errorf("%s is not generated any more", filepath.Join(committed, name)))
	}
	if len(differences) > 0 {
		return fmt.Errorf("run go run ./tools/protogen and commit the result: %w", errors.Join(differences...))
	}
	return nil
}

func contents(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	return files, err
}
