package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/tools/process"
)

// weft is a running weft and a client of its API.
type weft struct {
	*process.Process
	address string // of the listener
	api     string // its URL
	plugins weftv1connect.PluginsClient
	file    string // of its configuration
	config  string // as it begins
	spare   string // an address where nobody listens
}

// subject is the plugin that is swapped.
const subject = "subject"

const weftConfig = `watch: false
listeners:
  - name: load
    address: %s
    frame: mcp-seq
    chain: [auth, subject]
    topic: "bench"
plugins:
  auth:
    file: "std:jwt-auth"
    grants: {clock: {}, subscribe: {topics: ["#"]}}
    config: {algorithm: HS256, key: %q}
  subject:
    file: %q
    grants: {metrics: {}}
    config: {rules: [{when: {alarm: high}, topic: "alarm"}]}
    rollout: {rollback: {}}
api: {address: %s, rate: 10000/s}
log: {level: warn}
`

// tokenKey signs the tokens of the run.
const tokenKey = "weft-soak-key-of-this-run-only----"

// start builds weft, if no binary is given, and runs it with the module as its
// subject.
func start(ctx context.Context, o options, dir, module string) (*weft, error) {
	path, err := o.weft, error(nil)
	if path == "" {
		if path, err = process.Build(ctx, dir, "weft", "github.com/weftrun/weft/tools/weft"); err != nil {
			return nil, err
		}
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	apiPort, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	sparePort, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	listener, api := fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", apiPort)
	config := filepath.Join(dir, "weft.yaml")
	text := fmt.Sprintf(weftConfig, listener, tokenKey, module, api)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	w := &weft{address: listener, api: "http://" + api, file: config, config: text, spare: fmt.Sprintf("127.0.0.1:%d", sparePort)}
	w.plugins = weftv1connect.NewPluginsClient(http.DefaultClient, w.api)
	command := []string{path, "run", "-c", config}
	if o.versions > 0 {
		command = append(command, "--cache", filepath.Join(dir, "cache")) // so that each is compiled once
	}
	w.Process, err = process.Start(ctx, process.Options{
		Name: "weft", Command: command, Log: filepath.Join(dir, "weft.log"), Ready: process.Answers(w.api + "/readyz"),
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}
