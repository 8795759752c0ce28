// Package cases runs case files: messages in, verdicts expected, in YAML, on the
// real host. It is what `weft plugin test` stands on, and what the tests of the
// plugins that ship with weft stand on. README.md beside it documents the format.
//
// [Read] reads one file strictly: what it does not know is refused with file and
// line. [RunFolder] runs every file of a folder and returns a [Report]; [Run] does
// the same inside a Go test.
//
// A case begins with a fresh instance of the plugin, an empty key-value store and
// a clock that stands still at `start` until the case advances it: it gives the
// same result on every machine. Each case runs twice, with its batches as they
// are written and with its messages one at a time, because weft may cut batches
// as it likes; the expectations must hold both times.
package cases
