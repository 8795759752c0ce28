package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// reloadMode is the mode in which the configuration changes in place of a plugin.
const reloadMode = "reload"

// reloadWithin is how long one reload may take before the run fails.
const reloadWithin = 30 * time.Second

// changed is the configuration with what its n-th version has different. The listener
// that the load goes through keeps its address; everything else about it and beside it
// changes in turns: its chain, routes and their order, a pool's members, a listener that
// comes and goes, a plugin that does, limits.
func (w *weft) changed(n int) string {
	has := func(bit int) bool { return n>>bit&1 == 1 }
	text := w.config
	replace := func(old, with string) { text = strings.Replace(text, old, with, 1) }
	if has(0) {
		replace("chain: [auth, subject]", "chain: [auth, subject, {plugin: subject, config: {rules: [{when: {alarm: low}, topic: other}]}}]")
	}
	routes := []string{
		fmt.Sprintf("  - {name: turn, when: {topic: turn/%d}, to: [\"upstream:pool\"]}\n", n%7),
		fmt.Sprintf("  - {name: loaded, when: {topic: bench}, to: [{to: subscribers, weight: %d}]}\n", 1+n%3),
	}
	if has(1) {
		routes[0], routes[1] = routes[1], routes[0]
	}
	if has(2) {
		routes = append(routes, "  - {name: more, when: {topic: more}, chain: [comes], to: [all]}\n")
		replace("plugins:\n", "plugins:\n  comes: {file: \"std:topic-router\", config: {rules: [{when: {alarm: low}, topic: other}]}}\n")
	}
	text += "routes:\n" + strings.Join(routes, "")
	text += fmt.Sprintf("upstreams:\n  pool: {protocol: http, members: [\"127.0.0.1:9\", \"127.0.0.1:%d\"]}\n", 10+n%5)
	if has(3) {
		replace("plugins:\n", fmt.Sprintf("  - {name: comes, address: %q, frame: line}\nplugins:\n", w.spare))
	}
	if has(4) {
		text += "limits: {connections: 5000}\nrequests: {timeout: 7s}\n"
	}
	return text
}

// reload writes another version of the configuration and waits until weft has taken it
// up.
func (s *soaking) reload(ctx context.Context) error {
	s.read++
	if err := os.WriteFile(s.weft.file+".new", []byte(s.weft.changed(s.read)), 0o600); err != nil {
		return err
	}
	if err := os.Rename(s.weft.file+".new", s.weft.file); err != nil {
		return err
	}
	if err := syscall.Kill(s.weft.PID(), syscall.SIGHUP); err != nil {
		return err
	}
	for end := time.Now().Add(reloadWithin); ; time.Sleep(time.Millisecond) {
		applied, refused, err := s.weft.reloads(ctx)
		switch {
		case err != nil:
			return err
		case refused > 0:
			return fmt.Errorf("weft refused a configuration")
		case applied >= s.read:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("weft has applied %d of %d configurations", applied, s.read)
		}
	}
}

// reloads is what weft's metrics say became of reloads.
func (w *weft) reloads(ctx context.Context) (applied, refused int, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = r.Body.Close() }()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		for result, n := range map[string]*int{"applied": &applied, "refused": &refused} {
			if value, ok := strings.CutPrefix(lines.Text(), `weft_config_reloads_total{result="`+result+`"} `); ok {
				*n, _ = strconv.Atoi(value)
			}
		}
	}
	return applied, refused, nil
}
