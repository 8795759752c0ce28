// Package recording is the file format of recorded traffic: what "weft plugin
// record" writes and "weft plugin replay" reads.
//
// A recording is text, one JSON object to a line. The first line is the header;
// each further one is a message with what the running weft made of it; the last
// one says how the recording ended. A file without it was cut off.
//
//	{"weft_recording":1,"created":"2026-01-01T00:00:00Z","listener":"trucks","chain":["jwt-auth","json-filter"],"every":1}
//	{"batch":1,"hook":"open","session":"17","time":"...","listener":"trucks","attributes":{"peer":"10.0.0.1:999"},"outcome":{"verdict":"continue"}}
//	{"batch":2,"hook":"messages","session":"17","time":"...","topic":"a/b","payload":"aGVsbG8=","outcome":{"verdict":"drop","plugin":"json-filter","cause":"plugin","out":"dG9vIGNvbGQ="}}
//	{"end":{"why":"count","messages":2,"missed":0,"skipped":0}}
//
// Payloads and what verdicts carry are base64. Topics and the values of
// attributes are texts, or {"base64":"..."} where they are not UTF-8. An
// attribute block is an object in the block's own order, or an array of
// [name, value] where a name is there twice or is not UTF-8. An outcome names
// only the fields that changed.
//
// A message that a plugin pauses has the verdict pause, and stands there again with the hook
// resume, as it was held, with what became of it.
//
// A reader ignores keys that it does not know: version 1 may gain some. A change
// that an old reader would misunderstand raises Version.
//
//	NewWriter(w io.Writer, h Header) (*Writer, error);  (*Writer).Write(*Entry) error;  (*Writer).Close(End) error
//	NewReader(r io.Reader) (*Reader, error);  (*Reader).Header() Header;  (*Reader).Next() (*Entry, error);  (*Reader).End() *End
//
// A recording holds what devices said, word for word: tokens and passwords too.
package recording
