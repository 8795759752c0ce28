package tlsconf

import "strings"

// Bounds of a SPIFFE ID in bytes (SPIFFE-ID, sections 2.1 and 2.3).
const (
	maxSPIFFE      = 2048
	maxTrustDomain = 255
)

const (
	lowerDigits  = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
	segmentChars = lowerDigits + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// ValidSPIFFE tells whether a URI is the SPIFFE ID of a workload: spiffe://, a trust
// domain of lower-case letters, digits, '.', '-' and '_', and a path of segments of
// those and of upper-case letters, none of them empty, "." or ".." (SPIFFE-ID,
// sections 2.1 and 2.2). A trust domain without a path names no workload
// (X509-SVID, section 3).
func ValidSPIFFE(uri string) bool {
	rest, ok := strings.CutPrefix(uri, "spiffe://")
	if !ok || len(uri) > maxSPIFFE {
		return false
	}
	domain, path, ok := strings.Cut(rest, "/")
	if !ok || domain == "" || len(domain) > maxTrustDomain || !only(domain, lowerDigits) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !only(segment, segmentChars) {
			return false
		}
	}
	return true
}

// only tells whether text has no character but those of the set.
func only(text, set string) bool {
	for i := range len(text) {
		if strings.IndexByte(set, text[i]) < 0 {
			return false
		}
	}
	return true
}
