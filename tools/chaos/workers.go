package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// frameWorker is a connection to a listener of frames with a length of four bytes. It
// sends nothing: what it is given it cannot acknowledge.
type frameWorker struct {
	address string
	random  *rand.Rand
}

// maxUnit is the largest frame that is read.
const maxUnit = 2 << 20

func (w *frameWorker) run(ctx context.Context, c *consumer, ready func()) error {
	for ctx.Err() == nil {
		if err := w.connection(ctx, c, ready); err != nil {
			return err
		}
		wait(ctx, 10*time.Millisecond+time.Duration(w.random.Int64N(int64(40*time.Millisecond))))
	}
	return nil
}

func (w *frameWorker) connection(ctx context.Context, c *consumer, ready func()) error {
	d := net.Dialer{Timeout: dialWithin}
	conn, err := d.DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil // weft is not there
	}
	defer conn.Close()
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer release()
	ready()
	in := bufio.NewReaderSize(conn, 64<<10)
	var length [4]byte
	var unit []byte
	for {
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return nil // the connection is gone
		}
		n := binary.BigEndian.Uint32(length[:])
		if n > maxUnit {
			return fmt.Errorf("a frame of %d bytes", n)
		}
		if cap(unit) < int(n) {
			unit = make([]byte, n)
		}
		if _, err := io.ReadFull(in, unit[:n]); err != nil {
			return nil
		}
		c.take(unit[:n], nil)
	}
}

// webWorker is an HTTP server that takes what is posted.
type webWorker struct {
	address string
	server  *http.Server

	mu sync.Mutex
	to *consumer
}

func newWebWorker() (*webWorker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &webWorker{address: l.Addr().String()}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: answerWithin}
	go func() { _ = w.server.Serve(l) }() // it ends with Close
	return w, nil
}

// Close ends it at once.
func (w *webWorker) Close() error { return w.server.Close() }

// ServeHTTP implements http.Handler: what it says it has taken, it has.
func (w *webWorker) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxUnit))
	w.mu.Lock()
	to := w.to
	w.mu.Unlock()
	if err != nil || to == nil {
		http.Error(out, "not now", http.StatusServiceUnavailable)
		return
	}
	to.take(body, []byte(r.Header.Get("Message-Id")))
	out.WriteHeader(http.StatusNoContent)
}

func (w *webWorker) run(ctx context.Context, c *consumer, ready func()) error {
	w.mu.Lock()
	w.to = c
	w.mu.Unlock()
	ready()
	<-ctx.Done()
	return nil
}

// mosquitto is a shared subscription of mosquitto_sub, with a session that outlives its
// connections. It comes back by itself.
type mosquitto struct {
	lines                 string // stdbuf
	path, address, filter string
}

func (w *mosquitto) run(ctx context.Context, c *consumer, ready func()) error {
	host, port, err := net.SplitHostPort(w.address)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		// %P are the user properties, %x the payload in hexadecimal digits. Into a pipe it
		// prints nothing for a long time, unless it is told to.
		cmd := exec.CommandContext(ctx, w.lines, "-oL", w.path, "-h", host, "-p", port, "-V", "mqttv5", "-i", "chaos-mosquitto", "-c", "-x", fmt.Sprint(sessionExpiry), "-q", "1", "-k", "5",
			"-t", w.filter, "-F", "%P|%x", "-d")
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		err = w.read(out, c, ready)
		if ended := cmd.Wait(); err != nil {
			return errors.Join(err, ended)
		}
		wait(ctx, 50*time.Millisecond)
	}
	return nil
}

// read takes its lines: what it prints for us, between what it says it does.
func (w *mosquitto) read(out io.Reader, c *consumer, subscribed func()) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 2*maxUnit)
	for lines.Scan() {
		properties, digits, ours := bytes.Cut(lines.Bytes(), []byte{'|'})
		if !ours {
			if bytes.HasPrefix(lines.Bytes(), []byte("Subscribed")) {
				subscribed()
			}
			continue
		}
		payload, err := hex.DecodeString(string(digits))
		if err != nil {
			return fmt.Errorf("mosquitto_sub printed %q", lines.Text())
		}
		var id string
		for word := range strings.FieldsSeq(string(properties)) {
			if rest, ok := strings.CutPrefix(word, "message_id:"); ok {
				id = rest
			}
		}
		c.take(payload, []byte(id))
	}
	return nil
}

// isDead tells the metrics that count what was given up.
func isDead(name string) bool {
	return strings.HasPrefix(name, "weft_log_dead_total") || strings.HasPrefix(name, "weft_dead_letters")
}
