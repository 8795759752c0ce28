package main

import (
	"fmt"
	"io"
	"strings"
)

// report counts what became of everything that the documents show.
type report struct {
	commands, seen, configs, flags int
	notRun                         []string // with their reasons
	notHere                        []string
}

func (r *report) ran(command) { r.commands++ }
func (r *report) skipped(b block, reason string) {
	r.notRun = append(r.notRun, fmt.Sprintf("%s:%d %s", b.file, b.line, reason))
}
func (r *report) leftOut(s scene, lack string) {
	r.notHere = append(r.notHere, fmt.Sprintf("%s: %s is not here", s.name, lack))
}

// print says it.
func (r *report) print(w io.Writer) {
	for _, line := range r.notRun {
		fmt.Fprintln(w, "not run, commands and flags checked:", line)
	}
	for _, line := range r.notHere {
		fmt.Fprintln(w, "LEFT OUT:", line)
	}
	fmt.Fprintf(w, "%d commands run, %d things that had to be printed, %d configurations checked, %d calls of weft with their flags known, %d blocks not run, %d scenes left out\n",
		r.commands, r.seen, r.configs, r.flags, len(r.notRun), len(r.notHere))
}

// show prints the scenes and what is in them.
func show(list []scene) {
	kinds := map[kind]string{text: "text", shell: "run", console: "run and compared", config: "checked"}
	for _, s := range list {
		fmt.Println(s.name)
		for _, v := range s.variants[min(1, len(s.variants)):] {
			fmt.Println("  and again with", v)
		}
		for _, b := range s.blocks {
			what := kinds[b.kind]
			if reason, skipped := b.has("skip"); skipped {
				what = "not run: " + reason
			}
			first, _, _ := strings.Cut(b.text, "\n")
			fmt.Printf("  %5d  %-18s %s\n", b.line, what, first)
		}
	}
}
