package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// bench is where scenes are played: the weft that they run, and how long they may take.
type bench struct {
	repository string
	scratch    string        // everything is below it
	bin        string        // weft and the stand-ins; first on the PATH
	patience   time.Duration // for one thing that is waited for
	whole      time.Duration // for one command: compilers are slow
	strict     bool          // a program that is missing is a failure
	helps      map[string]help
	keys       map[string]bool // of a configuration, at its top
	report     *report
}

var (
	runsWeft = regexp.MustCompile(`^\S*(weft|tools/weft) run\b|^go run ./tools/weft run\b`)
	endless  = regexp.MustCompile(`(^|\s|/)weft (subscribe|tail|top|run)\b|\bcurl\s.*-s?N\b|\bmosquitto_sub\b|# in (a|another) terminal|# in a third`)
	ends     = regexp.MustCompile(`&\s*(#.*)?$|--(count|once|example|help)\b|\bmosquitto_sub\b.* -[CEW]\b|^mosquitto_sub -E`)
	programs = regexp.MustCompile(`\b(mosquitto_sub|mosquitto_pub|mbpoll|jq|grpcurl|openssl|python3|socat|nc|curl|protoc)\b`)
)

// ready are the words by which a command says that it has begun, by how it is called.
var ready = []struct{ command, said *regexp.Regexp }{
	{regexp.MustCompile(`(^|[\s/])weft run\b`), regexp.MustCompile(`(?m)^weft runs\b`)},
	{regexp.MustCompile(`(^|[\s/])weft subscribe\b`), regexp.MustCompile(`(?m)^subscribed to `)},
	{regexp.MustCompile(`(^|[\s/])weft tail\b`), regexp.MustCompile(`(?mi)ctrl-c`)},
	{regexp.MustCompile(`\bcurl\s.*-s?N\b`), regexp.MustCompile(`event: subscribed`)},
	{regexp.MustCompile(`\bmosquitto_sub\b`), regexp.MustCompile(`(?m)^Subscribed `)},
	{regexp.MustCompile(`\bnats-server\b`), regexp.MustCompile(`Server is ready`)},
}

// play plays a scene in a folder of its own and puts everything away afterwards.
func (b *bench) play(ctx context.Context, s scene) (err error) {
	if lack := b.lacks(s); lack != "" {
		if b.strict {
			return fmt.Errorf("%s: %s is not here", s.name, lack)
		}
		b.report.leftOut(s, lack)
		return nil
	}
	folder, err := os.MkdirTemp(b.scratch, "scene-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	logs, err := os.MkdirTemp(b.scratch, "logs-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(logs) }()
	if err := b.furnish(s, folder); err != nil {
		return err
	}
	t, err := openTerminals(folder, logs, b.environment(logs))
	if err != nil {
		return err
	}
	defer func() {
		if closed := t.close(b.patience); closed != nil {
			err = errors.Join(err, fmt.Errorf("%s: at the end: %w", s.name, closed))
		}
	}()
	for _, block := range s.blocks {
		if err := b.playBlock(ctx, t, block); err != nil {
			return fmt.Errorf("%w\n--- what was printed last:\n%s", err, tail(t.printed(nil)))
		}
	}
	return nil
}

// playBlock does with a block what it is for.
func (b *bench) playBlock(ctx context.Context, t *terminals, bl block) error {
	if reason, skipped := bl.has("skip"); skipped {
		if reason == "" {
			return fmt.Errorf("%s:%d: docs: skip says no reason", bl.file, bl.line)
		}
		b.report.skipped(bl, reason)
		return b.checkFlags(ctx, bl)
	}
	for _, o := range bl.orders {
		if o.word == "before" {
			code, output, err := b.within(ctx, t, o.rest)
			if err != nil {
				return fmt.Errorf("%s:%d: before: %s: %w", bl.file, o.line, o.rest, err)
			}
			if code != 0 {
				text, _ := os.ReadFile(output)
				return fmt.Errorf("%s:%d: before: ends with %d: %s\n%s", bl.file, o.line, code, o.rest, text)
			}
		}
	}
	var err error
	switch bl.kind {
	case config:
		err = b.checkConfig(ctx, t, bl)
	case shell, console:
		err = b.checkFlags(ctx, bl)
		_, vary := bl.has("numbers")
		_, windows := bl.has("terminal")
		fails, _ := bl.has("fails")
		for _, c := range commands(bl, whole) {
			if err != nil {
				break
			}
			err = b.playCommand(ctx, t, c, windows, vary, fails)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", bl.file, err)
		}
	default:
		err = os.WriteFile(filepath.Join(t.folder, bl.name), []byte(bl.text), 0o600)
	}
	for _, o := range bl.orders {
		if err != nil {
			break
		}
		switch o.word {
		case "after":
			what, broken := fmt.Sprintf("%s:%d: after: %s", bl.file, o.line, o.rest), error(nil)
			err = b.until(ctx, what, func() bool {
				code, _, err := b.within(ctx, t, o.rest)
				broken = err
				return err != nil || code == 0
			})
			if broken != nil {
				err = fmt.Errorf("%s: %w", what, broken)
			}
		case "sees":
			var want *regexp.Regexp
			if want, err = regexp.Compile("(?m)" + o.rest); err == nil {
				err = b.until(ctx, fmt.Sprintf("%s:%d: nobody has printed %s", bl.file, o.line, o.rest), func() bool { return want.MatchString(t.printed(nil)) })
			}
			b.report.seen++
		}
	}
	return err
}

// within runs a command in the first terminal that has to end in time.
func (b *bench) within(ctx context.Context, t *terminals, text string) (code int, output string, err error) {
	limited, cancel := context.WithTimeout(ctx, b.whole)
	defer cancel()
	return t.run(limited, text)
}

// playCommand runs one command, in the first terminal or in one of its own, and waits
// for what it has to print.
func (b *bench) playCommand(ctx context.Context, t *terminals, c command, window, vary bool, fails string) error {
	b.report.ran(c)
	marks := t.marks()
	if window || endless.MatchString(c.text) && !ends.MatchString(c.text) {
		n, err := t.start(c)
		if err != nil {
			return err
		}
		if err := b.begun(ctx, n.output, c, n.ended); err != nil {
			return err
		}
	} else {
		code, output, err := b.within(ctx, t, c.text)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", c.line, c.text, err)
		}
		want, _ := strconv.Atoi(fails)
		if code != want {
			return fmt.Errorf("line %d: ends with %d: %s", c.line, code, c.text)
		}
		if strings.Contains(c.text, "&") {
			if err := b.begun(ctx, output, c, nil); err != nil {
				return err
			}
		}
	}
	b.report.seen += len(c.shown)
	var left []string
	err := b.until(ctx, "", func() bool { left = missing(c.shown, t.printed(marks), vary); return len(left) == 0 })
	if err != nil {
		return fmt.Errorf("line %d: %s\nis shown to print, and nobody does:\n  %s", c.line, c.text, strings.Join(left, "\n  "))
	}
	return nil
}

// begun waits until what was started says so, as often as the command starts it.
func (b *bench) begun(ctx context.Context, output string, c command, ended <-chan struct{}) error {
	for _, r := range ready {
		wanted := len(r.command.FindAllString(c.text, -1))
		if wanted == 0 || ended == nil && !regexp.MustCompile(r.command.String()+`[^\n&|]*&\s*(#.*)?(\n|$)`).MatchString(c.text) {
			continue
		}
		gone := false
		err := b.until(ctx, "", func() bool {
			text, _ := os.ReadFile(output)
			select {
			case <-ended:
				gone = true
			default:
			}
			return gone || len(r.said.FindAll(text, -1)) >= wanted || ended == nil && len(r.said.FindAll(text, -1)) >= 1
		})
		text, _ := os.ReadFile(output)
		if err != nil || gone && !r.said.Match(text) {
			return fmt.Errorf("line %d: %s: does not begin (%s)", c.line, c.text, r.said)
		}
	}
	return nil
}

// until waits for something, as long as patience lasts.
func (b *bench) until(ctx context.Context, what string, ok func() bool) error {
	deadline := time.Now().Add(b.patience)
	for !ok() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.New(what)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// whole tells whether a text is a command to its end: bash has nothing more to wait for.
func whole(text string) bool {
	out, err := exec.Command("bash", "-n", "-c", text).CombinedOutput()
	return err == nil && !strings.Contains(string(out), "here-document") && !strings.HasSuffix(text, `\`)
}
