package plugins

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Guests bring texts into what people read in terminals and logs: names in their
// binaries, the words with which they refuse, the names of functions in a trace.
// None of them may be long, forge a line or move a cursor.
const (
	maxName      = 80       // bytes of a name in an error
	maxErrorText = 12 << 10 // bytes of an error
	maxFindings  = 10       // errors of a kind about one binary
)

// printable cuts a guest's text to what a line bears.
func printable(b []byte, limit int) string { return plain(string(b[:min(len(b), limit)]), false) }

// plain replaces what is no UTF-8 and what is no character to be seen.
func plain(text string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines, r == '\t', r == ' ':
			return r
		case r == '\n':
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// named is a name out of a binary as an error shows it.
func named(name string) string {
	cut := name
	if len(name) > maxName {
		cut = strings.ToValidUTF8(name[:maxName], "") + "..."
	}
	if plain(cut, false) != cut {
		return strconv.QuoteToASCII(cut)
	}
	return cut
}

// readable is an error whose text can be shown to people, whatever a guest has put
// into it.
type readable struct{ error }

// readably makes an error readable; nil stays nil.
func readably(err error) error {
	if err == nil {
		return nil
	}
	return readable{err}
}

func (e readable) Error() string {
	text := e.error.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "..."
	}
	return plain(text, true)
}

func (e readable) Unwrap() error { return e.error }

// findings collects errors about a binary, the first of each kind.
type findings struct {
	errs []error
	more int
}

func (f *findings) add(err error) {
	if len(f.errs) == maxFindings {
		f.more++
		return
	}
	f.errs = append(f.errs, err)
}

// join is all of them in one; nil if there are none.
func (f *findings) join() error {
	if f.more > 0 {
		return errors.Join(append(f.errs, fmt.Errorf("and %d more of that kind", f.more))...)
	}
	return errors.Join(f.errs...)
}
