package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxLine is how long a line of a recording may be, in bytes.
const MaxLine = 128 << 20

// Writer writes a recording. It is for one goroutine.
type Writer struct {
	w   io.Writer
	n   uint64
	buf bytes.Buffer
}

// NewWriter writes the header to w at once, with this package's Version. Each
// entry is one call of w.Write.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Version, h.Every = Version, max(h.Every, 1)
	out := &Writer{w: w}
	return out, out.line(h)
}

// Write adds an entry.
func (w *Writer) Write(e *Entry) error {
	w.n++
	return w.line(e)
}

// Entries is how many entries were written.
func (w *Writer) Entries() uint64 { return w.n }

// Close writes the last line, with the number of entries filled in. It does not
// close what the recording was written to.
func (w *Writer) Close(end End) error {
	end.Messages = w.n
	return w.line(lastLine{&end})
}

type lastLine struct {
	End *End `json:"end"`
}

func (w *Writer) line(v any) error {
	w.buf.Reset()
	encoder := json.NewEncoder(&w.buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	if w.buf.Len() > MaxLine {
		return fmt.Errorf("writing a recording: a line of %d bytes, at most %d are allowed", w.buf.Len(), MaxLine)
	}
	if _, err := w.w.Write(w.buf.Bytes()); err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	return nil
}

// Reader reads a recording. It is for one goroutine.
type Reader struct {
	r      *bufio.Reader
	header Header
	end    *End
	at     int // the line that was read last, from 1 on
}

// NewReader reads the header. It fails with ErrNotRecording or ErrVersion.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	line, err := in.line()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if json.Unmarshal(line, &in.header) != nil || in.header.Version == 0 {
		return nil, fmt.Errorf("%w: expected a first line that begins with {\"weft_recording\":%d, found %.60q", ErrNotRecording, Version, line)
	}
	if in.header.Version != Version {
		return nil, fmt.Errorf("%w: it is %d, this weft reads %d; read it with the weft that recorded it, or a newer one", ErrVersion, in.header.Version, Version)
	}
	return in, nil
}

// Header is the recording's first line.
func (r *Reader) Header() Header { return r.header }

// End is the recording's last line; nil before Next has returned io.EOF, and
// where the recording was cut off.
func (r *Reader) End() *End { return r.end }

// Line is the number of the line that was read last.
func (r *Reader) Line() int { return r.at }

// Next returns the next entry, which the caller may keep. It returns io.EOF
// behind the last one, an error with ErrMalformed and the line's number for a
// line that is none, and what reading fails with. A last line that breaks off is
// malformed; a recording whose last line is missing only has no End.
func (r *Reader) Next() (*Entry, error) {
	for {
		if r.end != nil {
			return nil, io.EOF
		}
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var read struct {
			Entry
			lastLine
		}
		if err := json.Unmarshal(line, &read); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrMalformed, r.at, err)
		}
		if read.End != nil {
			r.end = read.End
			continue
		}
		if err := check(&read.Entry); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrMalformed, r.at, err)
		}
		return &read.Entry, nil
	}
}

func check(e *Entry) error {
	switch e.Hook {
	case "open", "messages", "close", "resume":
	default:
		return fmt.Errorf("hook %.40q: expected open, messages, close or resume", e.Hook)
	}
	_, err := ParseType(e.Type)
	return err
}

// line reads one line of at most MaxLine bytes, valid until the next call.
func (r *Reader) line() ([]byte, error) {
	r.at++
	line, err := r.r.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > MaxLine {
			return nil, fmt.Errorf("%w: line %d is longer than %d bytes", ErrMalformed, r.at, MaxLine)
		}
		line, err = r.r.ReadSlice('\n')
		long = append(long, line...)
	}
	if errors.Is(err, io.EOF) && len(long) > 0 {
		return long, nil
	}
	return long, err
}
