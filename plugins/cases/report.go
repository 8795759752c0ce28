package cases

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Report is what became of the cases.
type Report struct {
	Files  []FileResult `json:"files"`
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
}

// FileResult is what became of one file's cases.
type FileResult struct {
	File   string       `json:"file"`
	Plugin string       `json:"plugin"`
	Wasm   string       `json:"wasm"`
	Cases  []CaseResult `json:"cases"`
}

// CaseResult is what became of one case.
type CaseResult struct {
	Name   string `json:"name"`
	Line   int    `json:"line"`
	Passed bool   `json:"passed"`
	// Messages were sent to the plugin; Fuel is what it spent on the whole case.
	Messages int       `json:"messages"`
	Fuel     uint64    `json:"fuel"`
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is one message, or other place of a case, that was not as expected.
type Failure struct {
	Line        int          `json:"line"`
	Where       string       `json:"where"`
	Text        string       `json:"text,omitempty"` // what went wrong if nothing could be compared
	Differences []Difference `json:"differences,omitempty"`
	Log         []string     `json:"log,omitempty"` // what the plugin and the host logged about it
}

// Difference is one value that was not as expected, in words for a person.
type Difference struct {
	Field string `json:"field"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

// WriteText writes the report for a person: each case on a line, each failure
// with what was wanted and what came.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i := range r.Files {
		f := &r.Files[i]
		fmt.Fprintf(&b, "%s (%s)\n", f.File, f.Wasm)
		for k := range f.Cases {
			if c := &f.Cases[k]; c.Passed {
				fmt.Fprintf(&b, "  ok    %s\n", c.Name)
			} else {
				b.WriteString(indent(c.text(f.File)))
			}
		}
	}
	switch {
	case r.Passed+r.Failed == 0:
		b.WriteString("\nno case was run\n")
	case r.Failed > 0:
		fmt.Fprintf(&b, "\n%d of %d cases failed\n", r.Failed, r.Passed+r.Failed)
	default:
		fmt.Fprintf(&b, "\nall %d cases passed\n", r.Passed)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// text describes a case that failed.
func (c *CaseResult) text(file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FAIL  %s (%s:%d)\n", c.Name, file, c.Line)
	for i := range c.Failures {
		f := &c.Failures[i]
		fmt.Fprintf(&b, "      %s (line %d)\n", f.Where, f.Line)
		if f.Text != "" {
			fmt.Fprintf(&b, "        %s\n", strings.ReplaceAll(f.Text, "\n", "\n        "))
		}
		for _, d := range f.Differences {
			d.write(&b)
		}
		for _, line := range f.Log {
			fmt.Fprintf(&b, "        log   %s\n", line)
		}
	}
	return b.String()
}

// write shows what was wanted above what came, and marks where long ones part.
func (d *Difference) write(b *strings.Builder) {
	deep := func(text string) string { return strings.ReplaceAll(text, "\n", "\n                ") }
	fmt.Fprintf(b, "        %s\n          want  %s\n          got   %s\n", d.Field, deep(d.Want), deep(d.Got))
	const short = 12
	same := 0
	for same < len(d.Want) && same < len(d.Got) && d.Want[same] == d.Got[same] {
		same++
	}
	for same > 0 && same < len(d.Got) && !utf8.RuneStart(d.Got[same]) {
		same--
	}
	if same >= short && !strings.Contains(d.Want+d.Got, "\n") {
		fmt.Fprintf(b, "          %s^\n", strings.Repeat(" ", len("want  ")+utf8.RuneCountInString(d.Got[:same])))
	}
}
