package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// Where a classic filter finds the network header, whatever the socket is (SKF_NET_OFF
// of linux/filter.h), and what it needs of it.
const (
	networkHeader = 0xfff00000
	sourceOf4     = networkHeader + 12
	sourceOf6     = networkHeader + 8
)

// steer gives all that comes from one source address, whatever its port, to one of the
// sockets that share a listener's port: the sockets in the order in which they were
// bound. Of an IPv6 address it is the /64. The program is a classic filter, which needs
// no capability.
func steer(fd, sockets int) error {
	const golden = 0x9e3779b1 // 2^32 by the golden ratio: spreads neighbours
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: networkHeader},
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 6, Jt: 2},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: sourceOf4},
		{Code: unix.BPF_JMP | unix.BPF_JA, K: 4},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: sourceOf6},
		{Code: unix.BPF_MISC | unix.BPF_TAX},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: sourceOf6 + 4},
		{Code: unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X},
		{Code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, K: golden},
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 16},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(sockets)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}))
}
