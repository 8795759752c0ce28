package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// childConfig is the variable that makes of the test's binary a weft that runs the
// configuration in a file, until it is killed or told to stop.
const childConfig = "WEFT_TEST_CHILD"

func runChild(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	cfg, err := parse(string(b))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	srv, err := server.New(ctx, server.Options{Config: cfg, Logger: logger(nil)})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	for srv.State() != life.Running {
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Millisecond):
		}
	}
	fmt.Println(srv.Addresses()[0].Addr)
	return <-ended
}

// child is a weft in a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string
}

func startChild(t *testing.T, file string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], "-test.run=^$")}
	c.cmd.Env = append(os.Environ(), childConfig+"="+file)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = c.cmd.Wait()
		t.Fatalf("the child has ended before it listened: %v", err)
	}
	c.addr = strings.TrimSpace(line)
	return c
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.cmd.Wait()
}

// flaky is an MQTT client of a server that is killed now and then.
type flaky struct {
	net.Conn
	in *bufio.Reader
}

// connectFlaky connects with a session that outlives the connection.
func connectFlaky(addr, id string, options ...func(*packet.Connect)) (f *flaky, present bool, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, false, err
	}
	f = &flaky{conn, bufio.NewReader(conn)}
	connect := packet.Connect{Version: packet.V5, ClientID: []byte(id), KeepAlive: 60}
	for _, option := range append(options, persistent) {
		option(&connect)
	}
	if _, err := f.Write(packet.AppendConnect(nil, &connect)); err != nil {
		return nil, false, errors.Join(err, conn.Close())
	}
	b, err := f.next()
	var ack packet.Connack
	if err == nil {
		err = ack.Decode(b, packet.V5)
	}
	if err != nil || ack.Reason != packet.Success {
		return nil, false, errors.Join(fmt.Errorf("CONNACK says %v", ack.Reason), err, conn.Close())
	}
	return f, ack.SessionPresent, nil
}

// next is the next packet.
func (f *flaky) next() ([]byte, error) {
	_ = f.SetReadDeadline(time.Now().Add(20 * time.Second))
	var b []byte
	for {
		c, err := f.in.ReadByte()
		if err != nil {
			return nil, err
		}
		b = append(b, c)
		if len(b) < 2 {
			continue
		}
		if n, need, err := packet.Cut(b, 0); err != nil {
			return nil, err
		} else if n > 0 {
			return b, nil
		} else if need > len(b) {
			rest := make([]byte, need-len(b))
			if _, err := io.ReadFull(f.in, rest); err != nil {
				return nil, err
			}
			return append(b, rest...), nil
		}
	}
}

// checked is what was acknowledged to publishers, and what a subscriber got.
type checked struct {
	mu    sync.Mutex
	acked []map[int]bool // by publisher
	got   []map[int]int  // by publisher: how often

}

func newChecked(publishers int) *checked {
	k := &checked{}
	for range publishers {
		k.acked, k.got = append(k.acked, map[int]bool{}), append(k.got, map[int]int{})
	}
	return k
}

func (k *checked) missing() (lost []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for who := range k.acked {
		for n := range k.acked[who] {
			if k.got[who][n] == 0 {
				lost = append(lost, fmt.Sprintf("%d of publisher %d", n, who))
			}
		}
	}
	return lost
}

// TestKilledWeftLosesNothing kills weft again and again while publishers send, and sees
// that a subscriber with a kept session, itself away at times, gets everything that was
// acknowledged.
func TestKilledWeftLosesNothing(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	const publishers = 4
	folder := t.TempDir()
	file := filepath.Join(folder, "weft.yaml")
	config := strings.Replace(withLoops(durableConfig(filepath.Join(folder, "data"), ""), 2), "frame: mqtt}", "frame: mqtt, mqtt: {queue: {messages: 100}, window: 16}}", 1)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	k := newChecked(publishers)
	next := make([]int, publishers)
	for round := range rounds {
		c := startChild(t, file)
		sub, present, err := connectFlaky(c.addr, "subscriber")
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			_, err = sub.Write(packet.AppendSubscribe(nil, &packet.Subscribe{ID: 1, Filters: []packet.Subscription{to("d/#", 1)}}, packet.V5))
			if b, wrong := sub.next(); err != nil || wrong != nil || packet.TypeOf(b) != packet.TypeSuback {
				t.Fatal(b, err, wrong)
			}
		} else if !present {
			t.Fatalf("round %d: the subscriber's session is gone", round)
		}
		var all sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		all.Go(func() { k.receive(sub, round%2 == 1) })
		var by [publishers]*flaky
		for who := range by {
			if by[who], _, err = connectFlaky(c.addr, fmt.Sprint("publisher", who)); err != nil {
				t.Fatal(err)
			}
		}
		for who := range publishers {
			all.Go(func() {
				k.publish(t, by[who], who, &next[who], 300*(who+1), func() { once.Do(func() { close(enough) }) })
			})
		}
		<-enough
		c.kill(t)
		all.Wait()
		_ = sub.Close()
	}
	c := startChild(t, file)
	defer c.kill(t)
	sub, present, err := connectFlaky(c.addr, "subscriber")
	if err != nil || !present {
		t.Fatal(present, err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); k.receive(sub, false) }()
	for end := time.Now().Add(20 * time.Second); len(k.missing()) > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	_ = sub.Close()
	<-ended
	if lost := k.missing(); len(lost) > 0 {
		t.Errorf("%d messages that were acknowledged are lost: %.400s", len(lost), strings.Join(lost, ", "))
	}
	acked, twice := 0, 0
	for who := range k.acked {
		acked += len(k.acked[who])
		for _, n := range k.got[who] {
			if n > 1 {
				twice++
			}
		}
	}
	t.Logf("%d rounds: %d messages acknowledged, %d came more than once", rounds, acked, twice)
	if acked < rounds*300 {
		t.Errorf("only %d messages were acknowledged", acked)
	}
}

// publish sends as fast as it is acknowledged, until the connection ends; a message
// that was not acknowledged is sent again in the next round.
func (k *checked) publish(t *testing.T, f *flaky, who int, next *int, tell int, enough func()) {
	defer func() { _ = f.Close() }()
	const window = 8
	first, sent := *next, *next
	for {
		for sent < *next+window {
			id := uint16(sent%65000 + 1)
			m := packet.Publish{Topic: fmt.Appendf(nil, "d/%d", who), Payload: fmt.Appendf(nil, "%d %d", who, sent), QoS: 1, ID: id}
			if _, err := f.Write(packet.AppendPublish(nil, &m, packet.V5)); err != nil {
				return
			}
			sent++
		}
		b, err := f.next()
		if err != nil {
			return
		}
		var ack packet.Ack
		if packet.TypeOf(b) != packet.TypePuback {
			continue
		}
		if err := ack.Decode(b, packet.V5); err != nil || ack.Reason.Failed() {
			t.Error(ack, err)
			return
		}
		k.mu.Lock()
		k.acked[who][*next] = true
		k.mu.Unlock()
		if *next++; *next-first == tell {
			enough()
		}
	}
}

// receive takes messages until the connection ends. away leaves after a while.
func (k *checked) receive(f *flaky, away bool) {
	for n := 0; ; n++ {
		if away && n == 50 {
			_ = f.Close()
			return
		}
		b, err := f.next()
		if err != nil {
			return
		}
		var m packet.Publish
		if packet.TypeOf(b) != packet.TypePublish || m.Decode(b, packet.V5, packet.FromServer) != nil {
			continue
		}
		var who, what int
		if _, err := fmt.Sscan(string(m.Payload), &who, &what); err != nil {
			continue
		}
		k.mu.Lock()
		k.got[who][what]++
		k.mu.Unlock()
		if _, err := f.Write(packet.AppendAck(nil, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, packet.V5)); err != nil {
			return
		}
	}
}
