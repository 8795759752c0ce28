// Package abi is the contract between weft and its plugins, and the message
// model that both sides of it share. It depends on the standard library only.
//
// The contract in words, for somebody who writes an SDK, is SPEC.md beside this
// file. The constants here are its single source: tools/abigen copies them into
// the SDKs for Rust, Go and AssemblyScript.
package abi
