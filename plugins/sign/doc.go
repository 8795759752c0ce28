// Package sign puts ed25519 signatures into plugins and checks them.
//
// A signed module ends with one custom section called weft.signature, the last of
// the module: JSON with a key id and a signature for each who signed. What is
// signed is the SHA-256 of all bytes before the section, behind a prefix that
// says what it is for; so a module may be signed by several, in any order, and
// signing changes nothing of what runs. The section has exactly one spelling for
// what it says: whatever byte of a signed file changes, it does not verify.
//
// Keys lie in PEM files: private ones as PKCS #8, public ones as PKIX (RFC 5958,
// RFC 5280; ed25519 in both by RFC 8410), as openssl writes them. A key's id is
// the beginning of the SHA-256 of its PKIX form.
package sign
