package main

import (
	"fmt"
	"io"
	"strings"
)

// print writes an inspection for a person.
func (r *inspection) print(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s\n", r.File)
	if r.Name == "" {
		line("name", "none: it has no manifest (weft plugin build attaches one)")
	} else {
		line("name", "%s %s", r.Name, r.Version)
	}
	if r.Description != "" {
		line("", "%s", r.Description)
	}
	line("ABI", "%s", r.ABI)
	line("sha256", "%s", r.SHA256)
	if len(r.SignedBy) > 0 {
		line("signed by", "%s, by its own account (weft plugin verify checks it)", strings.Join(r.SignedBy, ", "))
	} else {
		line("signed by", "nobody")
	}
	line("size", "%s: code %s, data %s, custom %s", bytesText(int64(r.Size)), bytesText(int64(r.Sections["code"])), bytesText(int64(r.Sections["data"])), bytesText(int64(r.Sections["custom"])))
	line("hooks", "%s", strings.Join(r.Hooks, ", "))
	if r.Snapshot {
		line("state", "handed on to the next generation")
	}
	most := "no bound of its own"
	if r.MemoryMost > 0 {
		most = "at most " + bytesText(r.MemoryMost)
	}
	line("memory", "begins with %s, %s", bytesText(r.MemoryBegins), most)
	m := r.Metering
	line("metering", "%d functions (%d of them may call themselves), %d loops; %d checks and %d debits make it %s", m.Functions, m.Recursive, m.Loops, m.Checks, m.Debits, bytesText(int64(m.Size)))
	r.printCapabilities(&b)
	if f := r.Fuel; f != nil {
		fmt.Fprintf(&b, "\nfuel of %d messages, each by itself\n", f.Messages)
		line("least", "%d", f.Least)
		line("median", "%d", f.Median)
		line("p99", "%d", f.P99)
		line("most", "%d", f.Most)
		line("budget", "%d: %s by %.0f a microsecond", f.Budget, f.CPU, f.PerMicrosecond)
		if f.Failed > 0 {
			line("failed", "%d: the plugin trapped, ran out of its budget or broke the contract", f.Failed)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printCapabilities lists what the module asks for and how to grant it.
func (r *inspection) printCapabilities(b *strings.Builder) {
	if len(r.Capabilities) == 0 {
		b.WriteString("\nasks for nothing beyond its messages\n")
		return
	}
	b.WriteString("\nasks for\n")
	var grants []string
	for _, c := range r.Capabilities {
		text := "in its manifest"
		if len(c.Functions) > 0 {
			text = "imports " + strings.Join(c.Functions, ", ")
		}
		if c.Optional {
			text += " (optional)"
		}
		if c.Reason != "" {
			text += ": " + c.Reason
		}
		fmt.Fprintf(b, "  %-12s %s\n", c.Name, text)
		grants = append(grants, c.Grant)
	}
	name := r.Name
	if name == "" {
		name = "NAME"
	}
	fmt.Fprintf(b, "\nto grant it\n  plugins:\n    %s:\n      file: %s\n      grants:\n", name, r.File)
	for _, g := range grants {
		fmt.Fprintf(b, "        %s\n", g)
	}
}

// bytesText writes a number of bytes for a person.
func bytesText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
