// Package vectors holds the golden files of the plugin ABI: what a host must see
// of the conformance guest, whatever language that is written in, and the bytes
// that pass between the two. README.md describes the guest.
//
// The package depends on the standard library and package abi only, so that any
// program can read the files. Vectors and Records never fail on the files as
// they were released.
package vectors
