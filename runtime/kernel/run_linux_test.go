package kernel

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weftrun/weft/runtime/filter"
)

// What the programs return.
const (
	xdpDrop, xdpPass = 1, 2
	tcxNext, tcxDrop = 0xffffffff, 2
)

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32
}

// skbContext is struct __sk_buff, whose data_end is how much of it is in one piece.
type skbContext struct {
	Before  [19]uint32
	Data    uint32
	DataEnd uint32
	Behind  [27]uint32
}

// run runs a program on a frame of which the first linear bytes are in one piece (0:
// all); true is that it passes.
func run(t testing.TB, program *ebpf.Program, frame []byte, linear int) (pass bool, err error) {
	t.Helper()
	options := ebpf.RunOptions{Data: frame}
	if linear > 0 && linear < len(frame) {
		if program.Type() == ebpf.XDP {
			options.Context = xdpContext{DataEnd: uint32(linear)}
		} else {
			options.Context = skbContext{DataEnd: uint32(linear)}
		}
	}
	code, err := program.Run(&options)
	if err != nil {
		return false, err
	}
	switch {
	case program.Type() == ebpf.XDP && code == xdpPass, program.Type() != ebpf.XDP && code == tcxNext:
		return true, nil
	case program.Type() == ebpf.XDP && code == xdpDrop, program.Type() != ebpf.XDP && code == tcxDrop:
		return false, nil
	}
	t.Fatalf("the program returned %d", int32(code))
	return false, nil
}

// hooks are the programs by what they are for.
func (o *weftObjects) hooks() map[string]*ebpf.Program {
	return map[string]*ebpf.Program{"xdp": o.WeftXdp, "tcx": o.WeftTcx}
}

// row runs a row and compares what became of it. refused is that the kernel's test run
// does not take such a packet.
func (v *verdict) row(t *testing.T, k *Kernel, program *ebpf.Program, linear int) (refused bool) {
	t.Helper()
	before := counted(t, k)
	pass, err := run(t, program, v.frame(), linear)
	if errors.Is(err, unix.EINVAL) && program.Type() != ebpf.XDP {
		return true
	}
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	if want := v.want == filter.Pass || v.want == foreign; pass != want {
		t.Errorf("%s: passes: %v", v.name, pass)
	}
	v.expect(t, before, counted(t, k))
	return false
}

func TestTable(t *testing.T) {
	k := loaded(t, Options{})
	for hook, program := range k.objects.hooks() {
		t.Run(hook, func(t *testing.T) {
			policy(t, k, example)
			forgetRates(t, k)
			refused := 0
			for _, v := range append(example.table(), example.jumbo(3000)...) {
				if v.row(t, k, program, 0) {
					refused++
				}
			}
			if refused > 6 {
				t.Errorf("the test run refused %d rows", refused)
			}
		})
	}
}

// TestPieces runs the table with packets of which the beginning alone is in one piece.
func TestPieces(t *testing.T) {
	k := loaded(t, Options{})
	policy(t, k, example)
	for hook, program := range k.objects.hooks() {
		t.Run(hook, func(t *testing.T) {
			tried := example.table()[0].frame()
			if _, err := run(t, program, tried, 20); errors.Is(err, unix.EINVAL) {
				t.Skipf("this kernel's test run has packets in one piece only: %v", err)
			}
			for _, linear := range []int{14, 16, 20, 33, 34, 40, 54, 58, 62} {
				forgetRates(t, k)
				for _, v := range append(example.table(), example.jumbo(3000)...) {
					v.row(t, k, program, linear)
				}
				if t.Failed() {
					t.Fatalf("with %d bytes in one piece", linear)
				}
			}
		})
	}
}

// forgetRates forgets what the sources have used up.
func forgetRates(t testing.TB, k *Kernel) {
	t.Helper()
	var key weftSource
	var value uint64
	var keys []weftSource
	all := k.objects.Sources.Iterate()
	for all.Next(&key, &value) {
		keys = append(keys, key)
	}
	for i := range keys {
		if err := k.objects.Sources.Delete(&keys[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStrangeBytes runs packets of which anything may be wrong: each passes or is
// dropped, and what is dropped is counted.
func TestStrangeBytes(t *testing.T) {
	k := loaded(t, Options{})
	policy(t, k, example)
	random := rand.New(rand.NewPCG(1, 2))
	rows := example.table()
	for hook, program := range k.objects.hooks() {
		for range 20000 {
			frame := rows[random.IntN(len(rows))].frame()
			for range random.IntN(6) {
				frame[12+random.IntN(len(frame)-12)] = byte(random.Uint32())
			}
			if random.IntN(4) == 0 {
				frame = frame[:14+random.IntN(len(frame)-13)]
			}
			if random.IntN(8) == 0 {
				for i := range frame {
					frame[i] = byte(random.Uint32())
				}
			}
			if _, err := run(t, program, frame, 0); err != nil && (hook == "xdp" || !errors.Is(err, unix.EINVAL)) {
				t.Fatalf("%s: %x: %v", hook, frame, err)
			}
		}
	}
}
