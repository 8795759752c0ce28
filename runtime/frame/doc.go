// Package frame turns bytes into messages and messages into bytes, by
// declaration: a frame format is a few lines of YAML that are compiled once into
// a decoder and an encoder. Neither allocates, takes a lock or keeps state, so
// one Format serves any number of connections on any number of goroutines.
//
// README.md beside this file describes the declaration language for users; the
// presets are declarations in it and nothing more, except Modbus (modbus.go), whose
// frames end where their function code says.
package frame
