package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// flooder sends frames in turn, at a rate, from the far end.
type flooder struct {
	fd     int
	frames [][]byte
	rate   float64

	sent, refused atomic.Uint64 // refused: the cable was full
	stop          atomic.Bool
	done          sync.WaitGroup
	err           error
}

// pour begins a flood.
func (n *network) pour(rate float64, frames [][]byte) (*flooder, error) {
	fd, err := n.raw()
	if err != nil {
		return nil, err
	}
	f := &flooder{fd: fd, frames: frames, rate: rate}
	f.done.Go(f.run)
	return f, nil
}

// raw is a socket for frames from the far end.
func (n *network) raw() (fd int, err error) {
	n.do(func() {
		if fd, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0); err == nil {
			err = syscall.Bind(fd, &syscall.SockaddrLinklayer{Ifindex: n.distant})
		}
	})
	if err != nil {
		return 0, fmt.Errorf("a packet socket: %w", err)
	}
	return fd, nil
}

// send sends one frame from the far end, as soon as the cable takes it.
func (n *network) send(frame []byte) error {
	fd, err := n.raw()
	if err != nil {
		return err
	}
	_, err = syscall.Write(fd, frame)
	for full(err) || errors.Is(err, syscall.EINTR) {
		time.Sleep(time.Millisecond)
		_, err = syscall.Write(fd, frame)
	}
	return errors.Join(err, syscall.Close(fd))
}

// full tells whether a frame was not sent since the cable was full.
func full(err error) bool { return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) }

// run sends in portions of a millisecond.
func (f *flooder) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := time.Now()
	for at, tries := 0, 0.0; !f.stop.Load(); {
		due := f.rate*time.Since(begun).Seconds() - tries
		if due < 1 {
			time.Sleep(time.Millisecond)
			continue
		}
		// What was late by more than a tenth of a second is let go.
		if late := due - f.rate/10; late > 0 {
			tries += late
		}
		for range int(min(due, 64)) {
			_, err := syscall.Write(f.fd, f.frames[at])
			switch {
			case err == nil:
				f.sent.Add(1)
			case full(err):
				f.refused.Add(1)
			case !errors.Is(err, syscall.EINTR):
				f.err = err
				return
			}
			tries++
			at = (at + 1) % len(f.frames)
		}
	}
}

// end stops the flood and tells how many packets went out.
func (f *flooder) end() (uint64, error) {
	f.stop.Store(true)
	f.done.Wait()
	return f.sent.Load(), errors.Join(f.err, syscall.Close(f.fd))
}

// witness counts packets that have passed the near end's programs, of sources that may
// not and of others: it sees them where the kernel's network stack begins.
type witness struct {
	file         *os.File
	seen, others atomic.Uint64
	done         sync.WaitGroup
}

// watch begins to count what comes from the prefixes, and from others.
func watch(prefixes ...netip.Prefix) (*witness, error) {
	const everything = 3 // ETH_P_ALL
	order := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, everything))
	near, err := net.InterfaceByName("near")
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, int(order))
	if err != nil {
		return nil, fmt.Errorf("a packet socket: %w", err)
	}
	if err := errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 32<<20),
		syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: order, Ifindex: near.Index})); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	w := &witness{file: os.NewFile(uintptr(fd), "packets")}
	w.done.Go(func() {
		b := make([]byte, 2048)
		for {
			n, err := w.file.Read(b)
			if err != nil {
				return // closed at the end
			}
			if n < 14+20 || b[12] != 8 || b[13] != 0 {
				continue
			}
			source := netip.AddrFrom4([4]byte(b[14+12:]))
			if others.Contains(source) {
				w.others.Add(1)
			}
			for _, p := range prefixes {
				if p.Contains(source) {
					w.seen.Add(1)
				}
			}
		}
	})
	return w, nil
}

func (w *witness) close() error {
	err := w.file.Close()
	w.done.Wait()
	return err
}
