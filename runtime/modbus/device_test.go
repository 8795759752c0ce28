package modbus_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/modbus"
)

// bench is a device whose other end the test holds. Time is the bubble's.
type bench struct {
	t      *testing.T
	device *modbus.Device
	server *frame.Format
	dials  chan net.Conn // connections as the server has them
	refuse atomic.Bool
	times  []time.Time // of dials
	stop   func()
}

func newBench(t *testing.T, preset string, o modbus.Options) *bench {
	f, _ := frame.Preset(preset)
	b := &bench{t: t, server: f, dials: make(chan net.Conn, 100)}
	o.Name, o.Codec, o.Serial, o.Logger = "plc", f.Peer(), preset == frame.ModbusRTU, slog.New(slog.DiscardHandler)
	o.Dial = func(context.Context, string) (net.Conn, error) {
		b.times = append(b.times, time.Now())
		if b.refuse.Load() {
			return nil, errors.New("refused")
		}
		ours, theirs := net.Pipe()
		b.dials <- theirs
		return ours, nil
	}
	b.device = modbus.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { b.device.Run(ctx) })
	b.stop = func() { cancel(); run.Wait() }
	return b
}

// peer is the server's end of a connection.
type peer struct {
	net.Conn
	b      *bench
	buffer []byte
}

func (b *bench) accept() *peer { return &peer{Conn: <-b.dials, b: b} }

// next waits for a request; false if the connection ends.
func (p *peer) next() (abi.Message, bool) {
	for {
		var m abi.Message
		if n, _, _ := p.b.server.Decode(p.buffer, nil, &m); n > 0 {
			p.buffer = bytes.Clone(p.buffer[n:])
			return m, true
		}
		chunk := make([]byte, 512)
		n, err := p.Read(chunk)
		if err != nil {
			return m, false
		}
		p.buffer = append(p.buffer, chunk[:n]...)
	}
}

// frame is an answer to a request.
func (p *peer) frame(m abi.Message, pdu ...byte) []byte {
	m.Type, m.Payload = abi.TypeResponse, pdu
	b, err := p.b.server.Append(nil, &m)
	if err != nil {
		p.b.t.Error(err)
	}
	return b
}

func (p *peer) answer(m abi.Message, pdu ...byte) { p.Write(p.frame(m, pdu...)) }

// read asks for one holding register.
func read(address byte) []byte { return []byte{3, 0, address, 0, 1} }

// outcome is how a call ended; asked counts that it ended once.
type outcome struct {
	pdu   []byte
	err   error
	after time.Duration
	times int
}

func (b *bench) submit(unit byte, pdu []byte) *outcome {
	o := &outcome{}
	begun := time.Now()
	if err := b.device.Submit(&modbus.Call{Unit: unit, PDU: pdu, Done: func(pdu []byte, err error) {
		o.pdu, o.err, o.after = pdu, err, time.Since(begun)
		o.times++
	}}); err != nil {
		o.err, o.times = err, 1
	}
	return o
}

func (o *outcome) is(t *testing.T, pdu []byte, err error) {
	t.Helper()
	synctest.Wait()
	if o.times != 1 || !bytes.Equal(o.pdu, pdu) || !errors.Is(o.err, err) {
		t.Errorf("ended %d times, %x, %v after %v; want %x, %v", o.times, o.pdu, o.err, o.after, pdu, err)
	}
}

// A response that came in time is none that is late, however long nobody looked: here the
// one before it holds the device's goroutine up.
func TestAResponseThatIsThereIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Pipeline: 2, Timeout: time.Second})
		defer b.stop()
		first := &outcome{}
		if err := b.device.Submit(&modbus.Call{Unit: 1, PDU: read(0), Done: func(pdu []byte, err error) {
			first.pdu, first.err = pdu, err
			first.times++
			time.Sleep(3 * time.Second)
		}}); err != nil {
			t.Fatal(err)
		}
		second := b.submit(1, read(1))
		p := b.accept()
		one, _ := p.next()
		two, _ := p.next()
		p.answer(one, 3, 2, 0, 1)
		p.answer(two, 3, 2, 0, 2)
		time.Sleep(10 * time.Second)
		first.is(t, []byte{3, 2, 0, 1}, nil)
		second.is(t, []byte{3, 2, 0, 2}, nil)
		if n := b.device.Stats().Timeouts; n != 0 {
			t.Errorf("%d time-outs", n)
		}
	})
}

// Answers find their requests by the transaction, in whatever order they come.
func TestPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Pipeline: 3})
		defer b.stop()
		var all []*outcome
		for i := range byte(5) {
			all = append(all, b.submit(1, read(i)))
		}
		p := b.accept()
		var got []abi.Message
		for range 3 {
			m, _ := p.next()
			got = append(got, m)
		}
		synctest.Wait()
		for i := 2; i >= 0; i-- {
			p.answer(got[i], 3, 2, 0, got[i].Payload[2])
			m, more := abi.Message{}, true
			if i > 0 {
				m, more = p.next()
				p.answer(m, 3, 2, 0, m.Payload[2])
			}
			if !more {
				t.Fatal("the connection has ended")
			}
		}
		synctest.Wait()
		for i, o := range all {
			o.is(t, []byte{3, 2, 0, byte(i)}, nil)
		}
	})
}

// Who is silent is asked again, as often as was said; what it says too late finds
// nobody.
func TestTimeoutsAndRetries(t *testing.T) {
	for _, preset := range []string{frame.ModbusTCP, frame.ModbusRTU} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, preset, modbus.Options{Timeout: time.Second, Retries: 2})
			defer b.stop()
			o := b.submit(1, read(7))
			p := b.accept()
			var late []byte
			for i := range 3 {
				m, ok := p.next()
				if !ok { // a serial line is connected anew after a time-out
					p = b.accept()
					if m, ok = p.next(); !ok {
						t.Fatal("not asked again")
					}
				}
				if i == 0 {
					late = p.frame(m, 3, 2, 1, 1)
				}
			}
			time.Sleep(2 * time.Second)
			o.is(t, nil, modbus.ErrTimeout)
			if o.after < 3*time.Second || o.after > 4*time.Second {
				t.Errorf("%s: given up after %v", preset, o.after)
			}
			next := b.submit(1, read(8))
			m, ok := p.next()
			if !ok { // it was silent for too long
				p = b.accept()
				m, _ = p.next()
			}
			if preset == frame.ModbusTCP {
				p.Write(late)
			}
			p.answer(m, 3, 2, 2, 2)
			next.is(t, []byte{3, 2, 2, 2}, nil)
			if s := b.device.Stats(); s.Timeouts != 3 || s.Retries != 2 || s.Failed != 1 || s.Responses != 1 {
				t.Errorf("%s: %+v", preset, s)
			}
		})
	}
}

// What must not be done twice is sent once.
func TestNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Retries: 5})
		defer b.stop()
		o := b.submit(1, []byte{8, 0, 1, 0, 0})
		p := b.accept()
		p.next()
		time.Sleep(3 * time.Second)
		o.is(t, nil, modbus.ErrTimeout)
		if s := b.device.Stats(); s.Retries != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// An answer of another unit, function or length is none.
func TestStrayAnswers(t *testing.T) {
	for _, preset := range []string{frame.ModbusTCP, frame.ModbusRTU} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, preset, modbus.Options{})
			defer b.stop()
			o := b.submit(5, read(0))
			p := b.accept()
			m, _ := p.next()
			other := m
			other.Attrs = abi.Attributes(nil).AppendString("unit", "6")
			p.answer(other, 3, 2, 9, 9)
			p.answer(m, 4, 2, 9, 9)
			p.answer(m, 3, 4, 9, 9, 9, 9)
			if preset == frame.ModbusTCP {
				other = m
				other.Seq++
				p.answer(other, 3, 2, 9, 9)
			}
			p.answer(m, 3, 2, 1, 2)
			synctest.Wait()
			o.is(t, []byte{3, 2, 1, 2}, nil)
			if s := b.device.Stats(); s.Stray < 3 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The queue is bounded.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Queue: 2})
		p := b.accept()
		synctest.Wait()
		first := b.submit(1, read(0))
		p.next()
		synctest.Wait()
		var all []*outcome
		for range 10 {
			all = append(all, b.submit(1, read(1)))
			synctest.Wait()
		}
		busy := 0
		for _, o := range all {
			if errors.Is(o.err, modbus.ErrBusy) {
				busy++
			}
		}
		if busy != 7 { // one is next, two are in the queue
			t.Errorf("%d were refused", busy)
		}
		b.stop()
		first.is(t, nil, modbus.ErrStopped)
		for _, o := range all {
			if o.times != 1 || !errors.Is(o.err, modbus.ErrStopped) && !errors.Is(o.err, modbus.ErrBusy) {
				t.Errorf("%+v", o)
			}
		}
		b.submit(1, read(1)).is(t, nil, modbus.ErrStopped)
	})
}

// A device that is away is dialled less and less often, and who asks is told soon.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Timeout: time.Second, Reconnect: 4 * time.Second})
		defer b.stop()
		b.refuse.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(b.times); n < 15 || n > 40 {
			t.Errorf("dialled %d times in a minute", n)
		}
		if last := b.times[len(b.times)-1].Sub(b.times[len(b.times)-2]); last < 2*time.Second || last > 4*time.Second {
			t.Errorf("the last pause was %v", last)
		}
		o := b.submit(1, read(0))
		time.Sleep(1100 * time.Millisecond)
		o.is(t, nil, modbus.ErrUnreachable)
		b.refuse.Store(false)
		p := b.accept()
		o = b.submit(1, read(0))
		m, _ := p.next()
		p.answer(m, 3, 2, 1, 2)
		synctest.Wait()
		o.is(t, []byte{3, 2, 1, 2}, nil)
	})
}

// What was under way when the connection was lost is asked again on the next.
func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Retries: 1, Pipeline: 2})
		defer b.stop()
		read0, once := b.submit(1, read(0)), b.submit(1, []byte{8, 0, 1, 0, 0})
		p := b.accept()
		p.next()
		p.next()
		p.Close()
		p = b.accept()
		m, _ := p.next()
		p.answer(m, 3, 2, 1, 2)
		synctest.Wait()
		read0.is(t, []byte{3, 2, 1, 2}, nil)
		once.is(t, nil, modbus.ErrUnreachable)
	})
}

// A device that says it is busy is asked again; another exception is an answer.
func TestExceptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{Retries: 1})
		defer b.stop()
		o := b.submit(1, read(0))
		p := b.accept()
		m, _ := p.next()
		p.answer(m, 0x83, 6)
		m, _ = p.next()
		p.answer(m, 0x83, 2)
		synctest.Wait()
		o.is(t, []byte{0x83, 2}, nil)
		go func() {
			m, _ := p.next()
			p.answer(m, 0x83, 11)
		}()
		if _, err := b.device.Do(t.Context(), 1, read(0)); !errors.Is(err, modbus.NoResponse) || modbus.ExceptionOf(err) != modbus.NoResponse {
			t.Errorf("%v", err)
		}
		if s := b.device.Stats(); s.Exceptions[2] != 1 || s.Exceptions[11] != 1 || s.Exceptions[6] != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A broadcast is not answered, and the line is left alone after it.
func TestBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusRTU, modbus.Options{})
		defer b.stop()
		all := b.submit(0, []byte{6, 0, 0, 0, 1})
		p := b.accept()
		p.next()
		synctest.Wait()
		all.is(t, nil, nil)
		begun := time.Now()
		o := b.submit(1, read(0))
		m, _ := p.next()
		if quiet := time.Since(begun); quiet < 90*time.Millisecond {
			t.Errorf("the line was quiet for %v", quiet)
		}
		p.answer(m, 3, 2, 1, 2)
		synctest.Wait()
		o.is(t, []byte{3, 2, 1, 2}, nil)
	})
}

// A device that answers late, twice, wrongly, in pieces or not at all, and hangs up:
// every request ends once, and no answer is another's.
func TestHostileDevice(t *testing.T) {
	for seed := range uint64(20) {
		for _, preset := range []string{frame.ModbusTCP, frame.ModbusRTU} {
			synctest.Test(t, func(t *testing.T) { hostile(t, preset, seed) })
		}
	}
}

func hostile(t *testing.T, preset string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	b := newBench(t, preset, modbus.Options{Timeout: 100 * time.Millisecond, Retries: 2, Pipeline: 4, Queue: 1000})
	over := make(chan struct{})
	go func() {
		for n := uint64(2); ; n++ {
			select {
			case <-over:
				return
			case conn := <-b.dials:
				go misbehave(&peer{Conn: conn, b: b}, rand.New(rand.NewPCG(seed, n)))
			}
		}
	}()
	var all []*outcome
	var want []byte
	for range 200 {
		address := byte(random.IntN(250))
		want = append(want, address)
		all = append(all, b.submit(1, read(address)))
	}
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	answered := 0
	for i, o := range all {
		switch {
		case o.times != 1:
			t.Errorf("ended %d times: %+v", o.times, o)
		case o.err == nil && !bytes.Equal(o.pdu, []byte{3, 2, 0xaa, want[i]}):
			t.Errorf("%x is not the answer to %d", o.pdu, want[i])
		case o.err == nil:
			answered++
		}
	}
	if answered < 20 {
		t.Errorf("%d of %d were answered: %+v", answered, len(all), b.device.Stats())
	}
	close(over)
	b.stop()
}

// misbehave serves one connection badly. On a serial line nothing says which request
// an answer is for: there it is late only by hanging up before.
func misbehave(p *peer, random *rand.Rand) {
	defer p.Close()
	serial := p.b.server.SeqBits() == 0
	for {
		m, ok := p.next()
		if !ok {
			return
		}
		right := p.frame(m, 3, 2, 0xaa, m.Payload[2])
		switch n := random.IntN(10); {
		case n == 0:
			return
		case n == 1:
			continue
		case n == 2 && !serial:
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			p.Write(right)
		case n == 3 && !serial:
			p.Write(append(bytes.Clone(right), right...))
		case n == 4:
			other := m
			other.Attrs = abi.Attributes(nil).AppendString("unit", strconv.Itoa(2+random.IntN(200)))
			p.Write(p.frame(other, 3, 2, 0xbb, 0xbb))
			p.Write(right)
		case n == 5:
			for i := range right {
				p.Write(right[i : i+1])
				time.Sleep(time.Millisecond)
			}
		default:
			p.Write(right)
		}
	}
}

// FuzzResponses feeds a device any bytes as its responses, in two pieces: it ends the
// request once, and takes for an answer only what can be one.
func FuzzResponses(f *testing.F) {
	for _, serial := range []bool{false, true} {
		f.Add(serial, []byte{0, 1, 0, 0, 0, 5, 1, 3, 2, 1, 2}, 3)
		f.Add(serial, []byte{1, 3, 2, 1, 2, 0x78, 0x15}, 4)
		f.Add(serial, []byte{1, 0x83, 2, 0xc0, 0xf1, 0xff}, 1)
	}
	f.Fuzz(func(t *testing.T, serial bool, stream []byte, split int) {
		preset := frame.ModbusTCP
		if serial {
			preset = frame.ModbusRTU
		}
		if split < 0 || split > len(stream) {
			split = 0
		}
		format, _ := frame.Preset(preset)
		dials := 0
		d := modbus.New(modbus.Options{
			Name: "fuzz", Codec: format.Peer(), Serial: serial, Timeout: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context, string) (net.Conn, error) {
				if dials++; dials > 1 {
					return nil, errors.New("once is enough")
				}
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					if _, err := theirs.Read(make([]byte, 64)); err != nil {
						return
					}
					theirs.Write(stream[:split])
					theirs.Write(stream[split:])
				}()
				return ours, nil
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { d.Run(ctx) })
		pdu, err := d.Do(ctx, 1, read(0))
		cancel()
		run.Wait()
		var e modbus.Exception
		if err == nil && (len(pdu) != 4 || pdu[0] != 3) || err != nil && !errors.As(err, &e) &&
			!errors.Is(err, modbus.ErrTimeout) && !errors.Is(err, modbus.ErrUnreachable) && !errors.Is(err, io.EOF) {
			t.Fatalf("%x, %v", pdu, err)
		}
	})
}
