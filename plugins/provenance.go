package plugins

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weftrun/weft/plugins/sign"
)

// checkSignature tells who of the trusted signed the binary. It fails if somebody
// must have and has not, and if the bytes are not those that were signed.
func (e *Env) checkSignature(s *Spec, wasm []byte) ([]string, error) {
	trust := e.cfg.Trust
	if len(s.SignedBy) == 0 && (s.Shipped || trust.Empty() && !e.cfg.RequireSigned) {
		return nil, nil
	}
	signers, err := trust.Verify(wasm)
	needed := e.cfg.RequireSigned || len(s.SignedBy) > 0
	switch {
	case err == nil:
	case errors.Is(err, sign.ErrModule):
		return nil, nil // what verify says of it is more to the point
	case errors.Is(err, sign.ErrUnsigned) && needed:
		return nil, fmt.Errorf("%w: it is %w: sign it with `weft plugin sign --key NAME.pem FILE`, or use the signed build", ErrSignature, err)
	case errors.Is(err, sign.ErrUnknownKey) && needed:
		return nil, fmt.Errorf("%w: it is %w: if you trust them, add their public key to trust.keys", ErrSignature, err)
	case errors.Is(err, sign.ErrAltered):
		return nil, fmt.Errorf("%w: it was %w: restore the file, or sign the new one after you looked at it", ErrSignature, err)
	}
	var missing []string
	for _, id := range s.SignedBy {
		if !slices.Contains(signers, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: signed_by names %s, which did not sign it; signed by %s", ErrSignature, strings.Join(missing, " and "), strings.Join(signers, ", "))
	}
	return signers, nil
}
