// Package load generates load over TCP and measures what comes back: rates,
// losses, duplicates, order and latencies (row F8).
//
// A run has publishers and subscribers. Publishers write frames that were
// encoded before the run and in which only the stamp (publisher, topic, number,
// time) is patched; subscribers cut whole reads into messages and read the
// stamps. The wire is a Protocol: any frame format of weft, NATS, MQTT or Redis.
//
// Three modes: Open sends at a fixed rate and measures every latency from the
// time at which the message should have been sent, so a server that stalls does
// not hide it (no coordinated omission); Closed keeps a bounded number of
// messages in flight and shows what a server can carry; Request waits for the
// answer to each message.
package load
