package frame

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi/spelling"
)

// ErrDeclaration is wrapped by every error about a declaration.
var ErrDeclaration = errors.New("bad frame declaration")

// Problem is one mistake in a declaration.
type Problem struct {
	// Path is the key, such as fields[2].size.
	Path string
	// Line is the line of the document, 0 where it is not known.
	Line int
	// Found and Expected are phrases; Found is empty if something is missing.
	Found    string
	Expected string
	// Hint is what to do about it, often empty.
	Hint string
}

// String is the problem on one line: the key, what was found, what was expected,
// what to do, the line.
func (p Problem) String() string {
	var s strings.Builder
	s.WriteString(p.Path)
	s.WriteString(": ")
	if p.Found != "" {
		fmt.Fprintf(&s, "found %s, ", p.Found)
	}
	fmt.Fprintf(&s, "expected %s", p.Expected)
	if p.Hint != "" {
		fmt.Fprintf(&s, "; %s", p.Hint)
	}
	if p.Line > 0 {
		fmt.Fprintf(&s, " (line %d)", p.Line)
	}
	return s.String()
}

// DeclarationError is what Parse and Compile return for a bad declaration: every
// problem that was found, in the order of the document.
type DeclarationError struct {
	Name     string
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *DeclarationError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "frame %s: ", e.Name)
	for i, p := range e.Problems {
		if i > 0 {
			s.WriteString("\n\t")
		}
		s.WriteString(p.String())
	}
	return s.String()
}

// Unwrap is ErrDeclaration.
func (e *DeclarationError) Unwrap() error { return ErrDeclaration }

// problems collects what is wrong while a declaration is read or compiled.
type problems struct {
	list  []Problem
	lines map[string]int
}

func (p *problems) add(path, found, expected, hint string) {
	p.list = append(p.list, Problem{path, p.line(path), found, expected, hint})
}

// line finds the line of the path or of the nearest key around it.
func (p *problems) line(path string) int {
	for {
		if n, ok := p.lines[path]; ok {
			return n
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return 0
		}
		path = path[:cut]
	}
}

func (p *problems) err(name string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return a.Line - b.Line })
	return &DeclarationError{name, p.list}
}

// suggest returns "did you mean X?" for the closest of the known words, or "".
func suggest(word string, known []string) string {
	best := spelling.Nearest(word, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", best)
}
