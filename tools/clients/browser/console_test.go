package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const consoleConfig = `
listeners:
  - {name: trucks, address: "127.0.0.1:0", frame: mqtt, chain: [normalise, calm, route]}
  - {name: lines, address: "127.0.0.1:0", frame: line, acknowledge: "", topic: raw/lines, chain: [normalise, route], filter: {deny: [192.0.2.0/24]}}
  - {name: careful, address: "127.0.0.1:0", frame: line, acknowledge: "", topic: truck/careful, chain: [strict]}
  - {name: wary, address: "127.0.0.1:0", frame: line, acknowledge: "", topic: truck/wary, chain: [doubtful]}
plugins:
  # Short readings are within what these may spend, long ones are not.
  strict: {file: "std:json-filter", cpu: 3us, on_failure: quarantine}
  doubtful: {file: "std:json-filter", cpu: 3us, on_failure: quarantine}
  normalise:
    file: "std:json-filter"
    # A trial of seconds on a busy machine is no measure of time.
    rollout: {rollback: {latency: 1000, fuel: 1000, drift: 100%}}
    config:
      rename: {temp: temperature, t: temperature, id: truck}
      attributes: {truck: truck, temperature: temperature}
      rules:
        - {field: temperature, above: 8, set: {alarm: high}}
  calm:
    file: "std:rate-limit"
    grants: {clock: {}, kv: {namespace: calm, size: 1MiB}}
    config: {key: "{session}", rate: 1000, burst: 2000}
  route:
    file: "std:topic-router"
    grants: {publish: {topics: ["alarm/#"]}}
    config:
      rules:
        - {when: {alarm: high}, emit: "alarm/{truck}"}
        - {topic: "truck/{truck}/telemetry"}
      defaults: {truck: unknown}
routes:
  - {name: alarms, when: {topic: "alarm/#"}, to: [subscribers]}
api: {address: "127.0.0.1:0"}
`

const lockedConfig = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, chain: [strict]}]
plugins: {strict: {file: "std:json-filter"}}
api: {address: "127.0.0.1:0", tokens: {ops: {role: read, env: CONSOLE_TOKEN}, boss: {role: operate, env: CONSOLE_OPERATOR}}}
`

// The console in a browser: live figures on the map, a new version of a plugin dropped on
// its page, a canary's weight moved, promoted and rolled back, a message's way, a
// connection closed, a bad configuration said; no request leaves the host, nothing is
// logged as an error, and axe finds nothing serious on any page, at both widths, in both
// colours. With WEFT_PICTURES set to a folder it leaves pictures of every page there.
func TestConsole(t *testing.T) {
	node, err := exec.LookPath("node")
	need(t, err == nil, "node")
	chrome, err := exec.LookPath("chromium")
	need(t, err == nil, "chromium")
	_, err = os.Stat("node_modules/playwright-core/package.json")
	need(t, err == nil, "playwright-core")
	config := filepath.Join(t.TempDir(), "weft.yaml")
	at := weftWith(t, config, consoleConfig)
	const secret, operator = "a-token-of-the-console-test", "a-token-of-an-operator-there"
	lockedAt := weftWith(t, filepath.Join(t.TempDir(), "locked.yaml"), lockedConfig, "CONSOLE_TOKEN="+secret, "CONSOLE_OPERATOR="+operator)
	trucks(t, at["trucks"], 24)
	sleeper(t, at["trucks"])
	for i := range 6 {
		line(t, at["lines"], i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	places, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	walk := exec.CommandContext(ctx, node, "console.mjs")
	walk.Env = append(os.Environ(), "WEFT_API=http://"+at["api"], "WEFT_AT="+string(places), "WEFT_CONFIG="+config,
		"WEFT_MODULE="+otherVersion(t), "WEFT_OTHER=../../guests/testdata/pass-rust/pass-rust.wasm",
		"WEFT_LOCKED=http://"+lockedAt["api"], "WEFT_TOKEN="+secret, "WEFT_OPERATOR="+operator, "WEFT_CHROMIUM="+chrome)
	walk.WaitDelay = 10 * time.Second
	out, err := walk.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "the whole walk: passed") {
		t.Fatalf("the walk ended with %v", err)
	}
}

// otherVersion is a module that does what std:json-filter does and is another one: it has
// a custom section more.
func otherVersion(t *testing.T) string {
	t.Helper()
	module, err := os.ReadFile("../../../plugins/std/json-filter/json-filter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "normalise.wasm")
	if err := os.WriteFile(path, append(module, "\x00\x08\x07another"...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// trucks connects clients of MQTT that report temperatures until the test ends; the first
// ones hear what comes of it.
func trucks(t *testing.T, address string, n int) {
	t.Helper()
	for i := range n {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(fmt.Sprintf("truck-%d", i)).SetConnectTimeout(patience))
		if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("truck %d: %v", i, token.Error())
		}
		t.Cleanup(func() { c.Disconnect(0) })
		if topic := []string{"truck/#", "alarm/#"}; i < len(topic) {
			if token := c.Subscribe(topic[i], 0, func(mqtt.Client, mqtt.Message) {}); !token.WaitTimeout(patience) || token.Error() != nil {
				t.Fatalf("subscribing: %v", token.Error())
			}
		}
		every(t, 20*time.Millisecond, func(round int) error {
			c.Publish("raw/trucks", 0, false, fmt.Sprintf(`{"truck":"%d","temp":%.1f}`, i, 4+float64((round*7+i*13)%46)/10))
			return nil
		})
	}
}

// sleeper leaves a session whose client is away.
func sleeper(t *testing.T, address string) {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("sleeper").SetCleanSession(false).SetConnectTimeout(patience))
	if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("sleeper: %v", token.Error())
	}
	if token := c.Subscribe("truck/1/#", 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscribing: %v", token.Error())
	}
	c.Disconnect(1000)
}

// line connects a client that sends lines until it is cut off or the test ends.
func line(t *testing.T, address string, i int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	out := bufio.NewWriter(conn)
	every(t, 50*time.Millisecond, func(round int) error {
		_, _ = fmt.Fprintf(out, `{"id":"line-%d","t":%.1f}`+"\n", i, 3+float64((round+i)%60)/10)
		return out.Flush()
	})
}

// every does something at intervals until it fails or the test ends.
func every(t *testing.T, interval time.Duration, do func(round int) error) {
	t.Helper()
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				if do(round) != nil {
					return
				}
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		done.Wait()
	})
}
