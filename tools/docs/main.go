package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// documents are what is read where nothing is named, in this order; relative to the
// repository.
var documents = []string{"README.md", "configs/OPERATOR.md", "configs/PROTOCOLS.md", "plugins/AUTHOR.md", "abi/SDK.md", "runtime/backbone/CLUSTER.md", "examples/*/README.md"}

func main() {
	host := flag.Bool("host", false, "use this machine's network, though one of its own could be had")
	list := flag.Bool("list", false, "print the blocks and what is done with each, and end")
	only := flag.String("scene", "", "play only scenes with `TEXT` in their names")
	patience := flag.Duration("patience", time.Minute, "how long one thing is waited for")
	flag.Parse()
	if !*host && !*list {
		if done, code := alone(); done {
			os.Exit(code)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Args(), *list, *only, *patience); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run reads the documents and plays their scenes.
func run(ctx context.Context, files []string, list bool, only string, patience time.Duration) error {
	repository, err := root()
	if err != nil {
		return err
	}
	docs, err := read(repository, files)
	if err != nil {
		return err
	}
	var all []scene
	for _, d := range docs {
		all = append(all, scenes(d)...)
	}
	if list {
		show(all)
		return nil
	}
	scratch, err := os.MkdirTemp("", "weft-docs-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	b := &bench{repository: repository, scratch: scratch, bin: filepath.Join(scratch, "bin"), patience: patience, whole: 3 * time.Minute,
		strict: os.Getenv("CI") == "true", helps: map[string]help{}, report: &report{}}
	if err := os.Mkdir(b.bin, 0o755); err != nil {
		return err
	}
	if err := b.build(all); err != nil {
		return err
	}
	if err := b.readKeys(ctx); err != nil {
		return err
	}
	var problems []error
	for _, d := range docs {
		for _, inline := range d.inline {
			if err := b.checkFlags(ctx, inline); err != nil {
				problems = append(problems, err)
			}
		}
	}
	for _, s := range all {
		for i := range max(1, len(s.variants)) {
			played := s.variant(i)
			if !strings.Contains(played.name, only) || ctx.Err() != nil {
				continue
			}
			begun := time.Now()
			err := b.play(ctx, played)
			fmt.Printf("%6.1f s  %s\n", time.Since(begun).Seconds(), played.name)
			if err != nil {
				fmt.Printf("FAIL %v\n", err)
				problems = append(problems, fmt.Errorf("failed: %s", played.name))
			}
		}
	}
	b.report.print(os.Stdout)
	return errors.Join(append(problems, ctx.Err())...)
}

// read reads documents; patterns that name nothing are an error.
func read(repository string, files []string) ([]*document, error) {
	if len(files) == 0 {
		files = documents
	}
	var docs []*document
	for _, pattern := range files {
		found, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			return nil, fmt.Errorf("documents %s: %w", pattern, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no document %s", pattern)
		}
		for _, file := range found {
			body, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(repository, file)
			if err != nil {
				return nil, err
			}
			d, err := parse(name, string(body))
			if err != nil {
				return nil, err
			}
			docs = append(docs, d)
		}
	}
	return docs, nil
}

// root is the repository in which this was started.
func root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("not in a clone of weft: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
