package cases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Options say how cases are run. The zero value runs them all as the files say.
type Options struct {
	// Wasm is the module to run, whatever the files name; empty: what they name.
	Wasm string
	// Only runs the cases whose name it matches; nil: all.
	Only *regexp.Regexp
	// CacheDir keeps compiled modules from one run to the next; empty: a
	// temporary folder, removed at the end. It must not be written to by others.
	CacheDir string

	refusedBefore string // the last error with which a plugin did not load
}

// RunFolder runs every case file (*.yaml, *.yml) of a folder in the order of
// their names, or the one file that folder is. It returns an error if a file
// cannot be read or a module cannot be found (nothing is run then) or ctx ends; a
// case that fails is no error, it is in the report.
func RunFolder(ctx context.Context, folder string, o Options) (Report, error) {
	paths, err := caseFiles(folder)
	if err != nil {
		return Report{}, err
	}
	var files []*File
	var errs []error
	for _, path := range paths {
		f, err := Read(path)
		if err == nil {
			err = f.locate(o.Wasm)
		}
		files, errs = append(files, f), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return Report{}, err
	}
	if o.CacheDir == "" {
		temp, err := os.MkdirTemp("", "weft-cases-")
		if err != nil {
			return Report{}, err
		}
		defer func() { _ = os.RemoveAll(temp) }()
		o.CacheDir = temp
	}
	var report Report
	for _, f := range files {
		if err := f.run(ctx, &o, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// T is what [Run] needs of a test: a *testing.T, for example.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Run runs the cases of a folder inside a test and fails it for each case that
// fails. wasm is the module; empty: what the files name.
func Run(t T, wasm, folder string) {
	t.Helper()
	report, err := RunFolder(t.Context(), folder, Options{Wasm: wasm})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i := range report.Files {
		for k := range report.Files[i].Cases {
			if c := &report.Files[i].Cases[k]; !c.Passed {
				t.Errorf("%s", c.text(report.Files[i].File))
			}
		}
	}
}

// caseFiles lists the case files of a folder, or the file itself.
func caseFiles(folder string) ([]string, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if !info.IsDir() {
		return []string{folder}, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	var paths []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: no *.yaml in the folder %s", ErrFile, folder)
	}
	return paths, nil
}

// locate finds the file's module and reads it.
func (f *File) locate(wasm string) error {
	if wasm == "" {
		var err error
		if wasm, err = f.module(); err != nil {
			return err
		}
	}
	binary, err := os.ReadFile(wasm)
	if err != nil {
		return fmt.Errorf("%w: %s: the module: %w; weft plugin build makes it", ErrFile, f.Path, err)
	}
	f.Spec.Name = strings.TrimSuffix(filepath.Base(wasm), filepath.Ext(wasm))
	f.Spec.File, f.Spec.Wasm = wasm, binary
	return nil
}

// module is the path of the module that the file names, or of the only one in the
// folder above.
func (f *File) module() (string, error) {
	folder := filepath.Dir(f.Path)
	if f.Plugin != "" {
		if filepath.IsAbs(f.Plugin) {
			return f.Plugin, nil
		}
		return filepath.Join(folder, f.Plugin), nil
	}
	above := filepath.Join(folder, "..")
	found, err := filepath.Glob(filepath.Join(above, "*.wasm"))
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrFile, f.Path, err)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%w: %s: no .wasm in %s: weft plugin build makes one, or say plugin: PATH", ErrFile, f.Path, filepath.Clean(above))
	}
	slices.Sort(found)
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return "", fmt.Errorf("%w: %s: %d modules in %s (%s): say plugin: ../%s", ErrFile, f.Path, len(found), filepath.Clean(above), strings.Join(found, ", "), found[0])
}

// run runs the file's cases and adds what became of them to the report.
func (f *File) run(ctx context.Context, o *Options, report *Report) error {
	result := FileResult{File: f.Path, Plugin: f.Spec.Name, Wasm: f.Spec.File}
	for i := range f.Cases {
		c := &f.Cases[i]
		if o.Only != nil && !o.Only.MatchString(c.Name) {
			continue
		}
		r := CaseResult{Name: c.Name, Line: c.Line}
		if err := f.runCase(ctx, o, c, &r); err != nil {
			return err
		}
		if r.Passed = len(r.Failures) == 0; r.Passed {
			report.Passed++
		} else {
			report.Failed++
		}
		result.Cases = append(result.Cases, r)
	}
	if len(result.Cases) > 0 {
		report.Files = append(report.Files, result)
	}
	return nil
}

// runCase runs a case with its batches as they are written and, if that can be
// something else, with its messages one at a time.
func (f *File) runCase(ctx context.Context, o *Options, c *Case, r *CaseResult) error {
	singles := true
	for i := range c.steps {
		singles = singles && len(c.steps[i].messages) <= 1
	}
	if singles {
		return f.play(ctx, o, c, mode{single: true}, r)
	}
	if err := f.play(ctx, o, c, mode{last: c.asGiven}, r); err != nil || c.asGiven {
		return err
	}
	known := len(r.Failures)
	if err := f.play(ctx, o, c, mode{single: true, named: true}, r); err != nil {
		return err
	}
	// What failed in the batch as well is said once.
	again := slices.DeleteFunc(slices.Clone(r.Failures[known:]), func(a Failure) bool {
		return slices.ContainsFunc(r.Failures[:known], func(b Failure) bool {
			return a.Line == b.Line && a.Text == b.Text && slices.Equal(a.Differences, b.Differences)
		})
	})
	r.Failures = append(r.Failures[:known], again...)
	return nil
}

// mode is how a case's batches are cut.
type mode struct {
	single bool // one message a batch: what one message costs and causes is known
	named  bool // say so where something fails
	last   bool // the case is not run in another mode: look at everything
}
