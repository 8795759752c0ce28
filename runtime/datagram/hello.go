package datagram

import "encoding/binary"

// helloSize is the length of the payload of every record of the full handshake: an
// answer is never longer than what it answers.
const helloSize = 32

// Steps of the full handshake.
const (
	stepHello     = 1 // client: I am here
	stepChallenge = 2 // server: show that you receive what is sent to your address
	stepConnect   = 3 // client: here is what you sent
	stepWelcome   = 4 // server: the connection stands
)

const (
	helloMagic   = 0x5744 // "WD"
	helloVersion = 1
)

// hello is the payload of a heartbeat of the full handshake.
type hello struct {
	step       uint8
	connection uint64 // chosen by the client, at random
	token      uint64 // challenge, connect: the rest of the cookie; welcome: the server's epoch
	mtu        int    // the largest datagram that the sender of this takes
	records    int    // window of each channel, in records
	bytes      int    // and in bytes
}

func appendHello(dst []byte, seq uint32, h hello) []byte {
	dst = appendHeader(dst, seq, 0, uint8(Heartbeat), helloSize)
	dst = binary.BigEndian.AppendUint16(dst, helloMagic)
	dst = append(dst, helloVersion, h.step)
	dst = binary.BigEndian.AppendUint64(dst, h.connection)
	dst = binary.BigEndian.AppendUint64(dst, h.token)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.mtu))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.records))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.bytes))
	return binary.BigEndian.AppendUint32(dst, 0) // reserved
}

// parseHello reads the payload of a heartbeat; false if it is none of a handshake.
func parseHello(b []byte) (h hello, ok bool) {
	if len(b) < helloSize || binary.BigEndian.Uint16(b) != helloMagic || b[2] != helloVersion {
		return h, false
	}
	h = hello{
		step: b[3], connection: binary.BigEndian.Uint64(b[4:]), token: binary.BigEndian.Uint64(b[12:]),
		mtu: int(binary.BigEndian.Uint16(b[20:])), records: int(binary.BigEndian.Uint16(b[22:])),
		bytes: int(min(binary.BigEndian.Uint32(b[24:]), 1<<30)),
	}
	if h.connection == 0 || h.mtu < MinMTU || h.records < 1 || h.bytes < MinMTU {
		return h, false
	}
	return h, h.step >= stepHello && h.step <= stepWelcome
}
