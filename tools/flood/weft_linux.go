package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/tools/process"
)

// What sources the configuration denies, what an operator blocks, and what else there is.
var (
	denied  = netip.MustParsePrefix("10.20.0.0/16")
	blocked = netip.MustParsePrefix("10.21.0.0/16")
	others  = netip.MustParsePrefix("10.22.0.0/16")
)

const (
	packetsPort = 7402
	streamsPort = 7401
)

// listenersOf are the listeners; before is what stands before them.
const listenersOf = `listeners:
%s  - name: streams
    address: 10.7.0.1:7401
    frame: mcp-seq
    acknowledge: ""
    subscribe: ["#"]
    topic: streams
    filter: {deny: [10.20.0.0/16]}
  - name: packets
    address: 10.7.0.1:7402
    frame: mcp-dgram
    subscribe: ["#"]
    topic: packets
    filter: {deny: [10.20.0.0/16], rate: %s, burst: 200}
api: {address: %s}
log: {level: warn}
`

// weft is a running weft.
type weft struct {
	*process.Process
	api string // its URL
}

// variant is a configuration.
type variant struct {
	kernel  bool
	changed bool // another listener comes first, and the rate is another
}

// start runs weft.
func (r *run) start(ctx context.Context, v variant) (*weft, error) {
	before, rate := "", "150/s"
	if v.changed {
		before, rate = "  - {name: lines, address: 10.7.0.1:7403, frame: line, topic: lines}\n", "140/s"
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	api := fmt.Sprintf("127.0.0.1:%d", port)
	text := fmt.Sprintf(listenersOf, before, rate, api)
	if v.kernel {
		text += "kernel: {interfaces: [near], mode: native, pin: " + filepath.Join(r.network.folder, "weft") + "}\n"
	}
	config := filepath.Join(r.dir, "weft.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	w := &weft{api: "http://" + api}
	w.Process, err = process.Start(ctx, process.Options{
		Name: "weft", Command: []string{r.weft, "run", "-c", config}, Log: filepath.Join(r.dir, "weft.log"), Ready: process.Answers(w.api + "/readyz"),
	})
	return w, err
}

// block has an operator block the sources of a prefix.
func (w *weft) block(ctx context.Context, source netip.Prefix) error {
	_, err := weftv1connect.NewFastPathClient(http.DefaultClient, w.api).Block(ctx, connect.NewRequest(&weftv1.FastPathBlockRequest{Source: source.String(), Why: "a test"}))
	return err
}

// counts are weft's counters of packets by listener, reason and enforcer.
type counts map[[3]string]uint64

// counts asks weft for them.
func (w *weft) counts(ctx context.Context) (counts, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	all := counts{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if labels, value, ok := counter(lines.Text()); ok {
			all[labels] = value
		}
	}
	return all, lines.Err()
}

// settled asks until what it should be, or for ten seconds: packets may wait on a busy
// machine until they are judged.
func (w *weft) settled(ctx context.Context, ok func(counts) bool) (now counts, err error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if now, err = w.counts(ctx); err != nil || ok(now) || time.Now().After(end) {
			return now, err
		}
	}
}

// counter reads a line such as
// weft_filter_packets_total{listener="l",reason="denied",enforcer="kernel"} 5.
func counter(line string) (labels [3]string, value uint64, ok bool) {
	rest, ok := strings.CutPrefix(line, "weft_filter_packets_total{")
	if !ok {
		return labels, 0, false
	}
	list, text, ok := strings.Cut(rest, "} ")
	if !ok {
		return labels, 0, false
	}
	for label := range strings.SplitSeq(list, ",") {
		name, quoted, _ := strings.Cut(label, "=")
		for i, known := range []string{"listener", "reason", "enforcer"} {
			if name == known {
				labels[i] = strings.Trim(quoted, `"`)
			}
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	return labels, uint64(n), err == nil
}

// since is what has been counted since before.
func (c counts) since(before counts, listener, reason, enforcer string) uint64 {
	key := [3]string{listener, reason, enforcer}
	return c[key] - before[key]
}
