package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// Cause says in a few words what is wrong; problems with the same cause are
	// printed together.
	Cause string
	// Key is the path of the key, such as listeners.trucks.address.
	Key string
	// Value is what stands there, ready to be printed; empty where it is not
	// to be shown or is not the point.
	Value string
	// Found and Expected tell kinds of values apart: "text", "a whole number".
	Found, Expected string
	// Fix is what to do about it.
	Fix string
	// File and Line are where the key stands. File is the name of the
	// environment variable or "override" where it came from there; Line is 0
	// where there is none.
	File string
	Line int
}

// Place is where the problem is, in the form file:line; empty if not known.
func (p Problem) Place() string { return Place{p.File, p.Line}.String() }

// Error is the problem on one line: cause, key, value, what was expected, the
// fix, the place.
func (p Problem) Error() string { return p.Cause + ": " + p.detail() }

func (p Problem) detail() string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	switch {
	case p.Key == "":
		add(p.Value)
	case p.Value == "":
		add(p.Key)
	default:
		add(p.Key + ": " + p.Value)
	}
	if p.Found != "" {
		add("found " + p.Found)
	}
	if p.Expected != "" {
		add("expected " + p.Expected)
	}
	add(p.Fix)
	add(p.Place())
	return strings.Join(parts, "; ")
}

// Problems is everything that is wrong with the configuration, in the order of
// the file. It is an error when it is not empty.
type Problems []Problem

// Error is all problems, those with the same cause together.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return ps[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems in the configuration", len(ps))
	printed := make(map[string]bool)
	for i, p := range ps {
		if printed[p.Cause] {
			continue
		}
		printed[p.Cause] = true
		fmt.Fprintf(&b, "\n%s", p.Cause)
		for _, like := range ps[i:] {
			if like.Cause == p.Cause {
				fmt.Fprintf(&b, "\n  %s", like.detail())
			}
		}
	}
	return b.String()
}

// hide takes out of problems what is a secret by its form.
func hide(problems Problems) Problems {
	for i := range problems {
		p := &problems[i]
		if secretText(p.Key) {
			p.Key = Hidden
		}
		for _, text := range []*string{&p.Value, &p.Found} {
			if shownSecret(*text) {
				*text = Hidden
			}
		}
		if shownSecret(p.Fix) {
			p.Fix = ""
		}
	}
	return problems
}

// Unwrap gives errors.As each problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// Place is where a key stands.
type Place struct {
	// File is the file's name, "environment NAME" or "override".
	File string
	// Line counts from 1; 0 is not known.
	Line int
}

// String is the place as file:line.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}
