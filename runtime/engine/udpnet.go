package engine

import (
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
)

// Bounds of the portable driver's datagrams, for each listener.
const (
	netDatagrams    = 256 // read and not yet served
	netDatagramSize = 64 << 10
	netDatagramsOut = 1024 // that wait for the writer
)

// packetNet is a listener's socket served through package net: one goroutine reads and
// deals the datagrams to the loops by their senders, another one writes.
type packetNet struct {
	conn     *net.UDPConn
	seed     maphash.Seed
	seats    chan struct{} // held by datagrams that were read and not served
	out      chan outgoing
	lost     chan error // what the writer could not send; of one place
	listener int
	end      sync.Once
}

// ended ends the writer: no loop sends any more.
func (p *packetNet) ended() { p.end.Do(func() { close(p.out) }) }

func newPacketNet(conn *net.UDPConn, listener int) *packetNet {
	return &packetNet{
		conn: conn, seed: maphash.MakeSeed(), listener: listener,
		seats: make(chan struct{}, netDatagrams), out: make(chan outgoing, netDatagramsOut), lost: make(chan error, 1),
	}
}

// readPackets reads until the socket is closed.
func (e *Engine) readPackets(p *packetNet) {
	buf := make([]byte, netDatagramSize)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if !e.rest(acceptPause * 1e6) {
				return
			}
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		select {
		case p.seats <- struct{}{}:
		case <-e.stop:
			return
		}
		l := e.loops[maphash.Comparable(p.seed, from)%uint64(len(e.loops))]
		l.postNet(netEvent{kind: netDatagram, listener: p.listener, of: p, from: from, datagram: append([]byte(nil), buf[:n]...)})
	}
}

// writeAll writes until no loop is left that sends.
func (p *packetNet) writeAll() {
	for o := range p.out {
		if _, err := p.conn.WriteToUDPAddrPort(o.b, o.to); err != nil {
			select {
			case p.lost <- err:
			default:
			}
		}
	}
}

// send implements udpDriver. What the writer has no room for is lost, as in a network.
func (p *packetNet) send(list []outgoing) (done int) {
	for i := range list {
		o := outgoing{to: list[i].to, b: append([]byte(nil), list[i].b...)}
		select {
		case p.out <- o:
		default:
			select {
			case p.lost <- errors.New("the writer is busy"):
			default:
			}
		}
	}
	return len(list)
}

// failed implements udpDriver.
func (p *packetNet) failed() (lost uint64, err error) {
	select {
	case err = <-p.lost:
		return 1, err
	default:
		return 0, nil
	}
}
