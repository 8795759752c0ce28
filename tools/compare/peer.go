package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/tools/load"
	"github.com/weftrun/weft/tools/process"
	"github.com/weftrun/weft/tools/program"
)

// peer is one server to compare.
type peer struct {
	name string
	// locate finds or builds the binary; an empty path and no error: not here.
	locate func(ctx context.Context, o options, dir string) (path string, err error)
	// command is how to run it on a port; it may write files into dir.
	command func(path, dir string, port int) (args []string, err error)
	// version is the argument that prints the version.
	version string
	// separator divides the levels of a topic.
	separator string
	protocol  func() (load.Protocol, error)
	remedy    string
	mqtt      bool // it speaks MQTT
	unasked   bool // it runs only where it is asked for
}

// tokenKey signs the tokens of the comparison.
const tokenKey = "weft-compare-key-of-this-run-only"

var peers = []peer{
	{
		name: "weft", locate: locateWeft, command: weftCommand, version: "version", separator: "/",
		protocol: weftProtocol,
	},
	{
		name: "nats", version: "--version", separator: ".",
		locate: func(ctx context.Context, _ options, dir string) (string, error) {
			return process.Build(ctx, dir, "nats-server", "github.com/nats-io/nats-server/v2")
		},
		command: func(_, _ string, port int) ([]string, error) {
			return []string{"-a", "127.0.0.1", "-p", fmt.Sprint(port)}, nil
		},
		protocol: func() (load.Protocol, error) { return &load.NATS{}, nil },
	},
	{
		name: "mosquitto", locate: look("mosquitto"), version: "-h", separator: "/",
		command: func(_, dir string, port int) ([]string, error) {
			file := filepath.Join(dir, "mosquitto.conf")
			text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nuser root\n", port)
			return []string{"-c", file}, os.WriteFile(file, []byte(text), 0o600)
		},
		protocol: mqttProtocol, mqtt: true,
		remedy: "apt-get install mosquitto",
	},
	{
		name: "weft-mqtt", locate: locateWeft, command: weftMQTTCommand, version: "version", separator: "/",
		protocol: mqttProtocol, mqtt: true, unasked: true,
	},
	{
		name: "redis", locate: look("redis-server"), version: "--version", separator: "/",
		command: func(_, dir string, port int) ([]string, error) {
			return []string{
				"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
				"--maxclients", fmt.Sprint(maxConnections + 100), "--client-output-buffer-limit", "pubsub 0 0 0",
			}, nil
		},
		protocol: func() (load.Protocol, error) { return &load.Redis{}, nil },
		remedy:   "apt-get install redis-server",
	},
}

// peerNames are the servers that run where nothing is asked for, or all.
func peerNames(all bool) (names []string) {
	for _, p := range peers {
		if all || !p.unasked {
			names = append(names, p.name)
		}
	}
	return names
}

func peerCalled(name string) (peer, bool) {
	for _, p := range peers {
		if p.name == name {
			return p, true
		}
	}
	return peer{}, false
}

// server is a peer that is on this machine.
type server struct {
	peer
	path  string
	about string // what it says about its version
}

// find locates or builds what the options name and says what is missing.
func find(ctx context.Context, o options, dir string, words io.Writer) ([]server, error) {
	var found []server
	for _, name := range o.peers {
		p, _ := peerCalled(name)
		path, err := p.locate(ctx, o, dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if path == "" {
			program.Say(words, "%s is not installed and is left out (%s)", name, p.remedy)
			continue
		}
		found = append(found, server{p, path, versionOf(ctx, path, p.version)})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("none of %s is here", strings.Join(o.peers, ", "))
	}
	return found, nil
}

func versionOf(ctx context.Context, path, argument string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, path, argument).CombinedOutput() // mosquitto -h exits with 3
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

func look(name string) func(context.Context, options, string) (string, error) {
	return func(context.Context, options, string) (string, error) {
		for _, path := range []string{name, "/usr/sbin/" + name} {
			if found, err := exec.LookPath(path); err == nil {
				return found, nil
			}
		}
		return "", nil
	}
}

func locateWeft(ctx context.Context, o options, dir string) (string, error) {
	if o.weft != "" {
		return exec.LookPath(o.weft)
	}
	return process.Build(ctx, dir, "weft", "github.com/weftrun/weft/tools/weft")
}

// weftConfig is the cold chain of the default configuration with one listener:
// a message whose payload names no truck belongs to truck "bench".
const weftConfig = `listeners:
  - name: trucks
    address: 127.0.0.1:%d
    frame: mcp-seq
    chain: [auth, normalise, route]
    topic: "raw/trucks"
plugins:
  auth:
    file: "std:jwt-auth"
    grants: {clock: {}, subscribe: {topics: ["#"]}}
    config: {algorithm: HS256, key: %q}
  normalise:
    file: "std:json-filter"
    config:
      rename: {temp: temperature, t: temperature, id: truck}
      attributes: {truck: truck, temperature: temperature}
      rules:
        - {field: temperature, above: 8, set: {alarm: high}}
      invalid: continue
  route:
    file: "std:topic-router"
    grants: {publish: {topics: ["alarm/+"]}}
    config:
      rules:
        - {when: {alarm: high}, emit: "alarm/{truck}"}
        - {topic: "truck/{truck}/telemetry"}
      defaults: {truck: "bench"}
api: {address: 127.0.0.1:%d}
log: {level: warn}
`

func weftCommand(_, dir string, port int) ([]string, error) {
	api, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "weft.yaml")
	return []string{"run", "-c", file}, os.WriteFile(file, fmt.Appendf(nil, weftConfig, port, tokenKey, api), 0o600)
}

func mqttProtocol() (load.Protocol, error) { return &load.MQTT{}, nil }

// weftMQTTConfig has no plugin: what is compared is MQTT.
const weftMQTTConfig = `
listeners:
  - name: mqtt
    address: 127.0.0.1:%d
    frame: mqtt
    heartbeat: {close_after: 0s}
api: {address: 127.0.0.1:%d}
log: {level: warn}
`

func weftMQTTCommand(_, dir string, port int) ([]string, error) {
	api, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "weft-mqtt.yaml")
	return []string{"run", "-c", file}, os.WriteFile(file, fmt.Appendf(nil, weftMQTTConfig, port, api), 0o600)
}

func weftProtocol() (load.Protocol, error) {
	format, ok := frame.Preset("mcp-seq")
	if !ok {
		return nil, fmt.Errorf("weft has no preset mcp-seq")
	}
	return &load.Frames{Codec: format, Hello: load.TokenHello([]byte(tokenKey), time.Hour), AwaitHello: true}, nil
}
