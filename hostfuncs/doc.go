// Package hostfuncs is what a plugin may call: one file for each capability of
// the ABI (log, metrics, clock, random, kv, http, filter) and one for the few functions of
// WASI that a guest of Go's own compiler insists on.
//
// A [Host] belongs to one plugin. It registers in the plugin's wazero runtime
// exactly the functions that the operator granted, with the scope of each grant
// closed over; what was not granted is not there to be called. Every pointer that
// a guest passes is checked against its memory; a bad one answers
// abi.StatusInvalid and nothing else happens.
//
// The package declares the small interfaces that it needs ([Clock],
// [MetricsSink]); who loads plugins hands in what satisfies them. Host calls are
// off the path of messages that plugins answer by themselves, so they may lock
// for a moment and allocate.
package hostfuncs
