// Package packet is the wire of MQTT 3.1.1 and 5.0: bytes to packets and back,
// for a server and for a client. It is pure: no connection, no session, no clock.
//
// Cut finds the first packet of a stream; the type's Decode method reads it. What
// it hands out aliases the input: who keeps it longer than the input copies it.
// The Append functions write a packet behind what is there already. PUBLISH, the
// four acknowledgements and the pings allocate nothing in either direction.
//
// Decoding is strict. Whatever the two specifications forbid and a single packet
// can show is refused with a *Malformed, which has the reason code to end the
// connection with and the number of the statement that was broken. What a decoder
// accepted needs no second look: a Properties block can be walked, a topic be
// published to, a filter be subscribed to. What takes more than one packet to see
// (a topic alias nobody set, a packet id in use) is the session's concern.
//
// Reason codes are those of 5.0 throughout. For 3.1.1 the encoders turn them into
// return codes, and the decoders turn return codes into them.
//
// STATEMENTS.md, one folder up, lists the normative statements of both
// specifications and the tests that cover them.
package packet
