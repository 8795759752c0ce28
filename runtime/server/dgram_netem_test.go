package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/datagram"
)

// netemEnv tells the test that it runs in the namespace it has made.
const netemEnv = "WEFT_TEST_NETEM"

// TestDgramNetem: the kernel itself loses 20%, doubles 10% and reorders 20% of all
// datagrams, in a network namespace of its own. It needs root and iproute2.
func TestDgramNetem(t *testing.T) {
	if os.Getenv(netemEnv) != "" {
		inNetem(t)
		return
	}
	refuse := t.Skipf
	if os.Getenv("WEFT_REQUIRE_NETEM") != "" {
		refuse = t.Fatalf
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			refuse("NOT TESTED: netem needs %s (apt-get install iproute2)", tool)
		}
	}
	name := fmt.Sprintf("weft-test-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		refuse("NOT TESTED: no network namespace can be made, which needs root: %v: %s", err, out)
	}
	defer func() { _ = exec.Command("ip", "netns", "del", name).Run() }()
	for _, command := range []string{
		"ip link set lo up",
		"tc qdisc add dev lo root netem delay 3ms 1ms reorder 20% loss 20% duplicate 10% limit 10000",
	} {
		args := append([]string{"netns", "exec", name}, strings.Fields(command)...)
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			refuse("NOT TESTED: %s: %v: %s", command, err, out)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", name, self, "-test.run", "^TestDgramNetem$", "-test.v")
	cmd.Env = append(os.Environ(), netemEnv+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func inNetem(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, dgramRelay)
			out := dialDgram(t, f.address("out"), datagram.Config{})
			in := dialDgram(t, f.address("in"), datagram.Config{})
			pourAndCheck(t, in, out, 4, 1000)
			c := in.Counters()
			t.Logf("%d datagrams, %d packets sent again (%d too early), round trip %v", c.Datagrams, c.Retransmitted, c.Spurious, in.RTT())
			if c.Retransmitted == 0 {
				t.Error("nothing was lost")
			}
		})
	}
}
