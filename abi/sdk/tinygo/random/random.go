// Package random has cryptographically secure random bytes, with the operator's
// grant random. Errors are of type weft.HostError.
package random

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// Fill fills the slice.
func Fill(to []byte) error {
	for len(to) > 0 {
		part := to[:min(len(to), host.MaxHostBytes)]
		if err := host.Check(int64(host.Random(part))); err != nil {
			return err
		}
		to = to[len(part):]
	}
	return nil
}

// Number is a random number.
func Number() (uint64, error) {
	var b [8]byte
	if err := Fill(b[:]); err != nil {
		return 0, err
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, nil
}
