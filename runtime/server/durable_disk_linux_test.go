package server_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const diskChildDir = "WEFT_SERVER_DISK_CHILD"

// A disk that takes no more is told in every protocol, before senders give up. The bound
// on files is of a process: the test runs as one of its own.
func TestADiskThatTakesNoMoreIsTold(t *testing.T) {
	dir := os.Getenv(diskChildDir)
	if dir == "" {
		if underRace {
			t.Skip("nats-server makes its queues anew beside their readers when it stores again: nothing that weft could wait for")
		}
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestADiskThatTakesNoMoreIsTold$", "-test.v")
		c.Env = append(os.Environ(), diskChildDir+"="+t.TempDir())
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	f := start(t, "auto", withLoops(durableConfig(dir, ""), 1))
	pub, old, line := f.mqtt(packet.V5, "pub"), f.mqtt(packet.V311, "old"), f.dial("lines")
	large := strings.Repeat("0123456789", 1000)
	if code := pub.publishes(message("d/0", large, 1)); code >= packet.UnspecifiedError {
		t.Fatalf("PUBACK says %v", code)
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*_log_kept", "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	block, err := os.Stat(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	defer func() { // what ends weft writes, too
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(block.Size()) + 500, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	// On a busy machine the answer of the disk may not come in time: then it counts as away.
	if code := pub.publishes(message("d/0", large, 1)); code != packet.QuotaExceeded && code != packet.UnspecifiedError {
		t.Errorf("PUBACK says %v", code)
	}
	m := message("d/0", large, 1)
	old.sends(&m)
	if b := old.packet(); b != nil {
		t.Errorf("version 3.1.1 got %x", b)
	}
	res, err := http.Post(f.url()+"/v1/publish/d/x", "text/plain", strings.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusInsufficientStorage && res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("HTTP says %d", res.StatusCode)
	}
	line.say(text(large))
	_ = line.SetReadDeadline(time.Now().Add(time.Second))
	if b, err := line.in.ReadByte(); err == nil {
		t.Errorf("a line was answered with %q", b)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the answers took %s: senders have given up by then", took)
	}
}
