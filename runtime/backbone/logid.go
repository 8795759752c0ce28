package backbone

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// longestID is how long an id is at most on its way; of a longer one there is a hash.
const longestID = 512

// safeID spells an id so that a header of NATS keeps it as it is, which trims spaces
// and has none for line ends: two ids never have the same spelling. One of letters,
// digits and most signs is its own.
func safeID(id string) string {
	if len(id) > longestID {
		sum := sha256.Sum256([]byte(id))
		return "%h" + hex.EncodeToString(sum[:]) // no escaped byte begins so
	}
	for i := range len(id) {
		if !plainInID(id[i]) {
			return escapeID(id)
		}
	}
	return id
}

func plainInID(c byte) bool { return c > ' ' && c < 0x7f && c != '%' }

func escapeID(id string) string {
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; plainInID(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}
