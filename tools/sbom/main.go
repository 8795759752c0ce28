// Command sbom writes what a Go program is made of as a CycloneDX document (1.6, JSON),
// from what the program itself says (go version -m): the modules that are in it, and no
// others. The same program gives the same document.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	out := flag.String("o", "", "write the document to this `FILE`, not to stdout")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "sbom writes what a Go program is made of, as CycloneDX.\n\n  go run ./tools/sbom [-o FILE] PROGRAM\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *out); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(program, out string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	b, err := document(info, sum.Sum(nil))
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if out == "" {
		_, err = os.Stdout.Write(b)
		return err
	}
	return os.WriteFile(out, b, 0o644)
}

// The document's shape (cyclonedx.org/docs/1.6/json).
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string     `json:"timestamp,omitempty"`
	Component component  `json:"component"`
	Property  []property `json:"properties,omitempty"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Scope      string     `json:"scope,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

var errNoModule = errors.New("the program does not say of which module it is: build it from one")

// document describes a program with that build information and SHA-256.
func document(info *debug.BuildInfo, sum []byte) ([]byte, error) {
	if info.Main.Path == "" {
		return nil, errNoModule
	}
	main := module(&info.Main, "application")
	main.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
	d := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{Component: main}}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.time":
			d.Metadata.Timestamp = s.Value
		case "vcs.revision", "vcs.modified", "GOOS", "GOARCH", "CGO_ENABLED", "-trimpath":
			d.Metadata.Property = append(d.Metadata.Property, property{"go:build:" + s.Key, s.Value})
		}
	}
	std := strings.TrimPrefix(info.GoVersion, "go")
	d.Components = append(d.Components, component{Type: "library", Ref: "pkg:golang/std@" + std, Name: "std", Version: std, Scope: "required", PURL: "pkg:golang/std@" + std})
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		c := module(dep, "library")
		c.Scope = "required"
		d.Components = append(d.Components, c)
	}
	root := dependency{Ref: main.Ref}
	for _, c := range d.Components {
		root.On = append(root.On, c.Ref)
	}
	d.Dependencies = []dependency{root}
	s := hex.EncodeToString(sum)
	d.Serial = fmt.Sprintf("urn:uuid:%s-%s-8%s-8%s-%s", s[:8], s[8:12], s[13:16], s[17:20], s[20:32]) // version 8 (RFC 9562): of our own making
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

// module describes a module.
func module(m *debug.Module, kind string) component {
	purl := "pkg:golang/" + m.Path
	if m.Version != "" && m.Version != "(devel)" {
		purl += "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	}
	c := component{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if m.Sum != "" {
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c
}
