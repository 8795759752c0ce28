package compiler

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The two processes exchange frames: the magic, the length of what follows in 4 bytes,
// big-endian, and that. First comes a hello as JSON, which is answered by ready. Then
// each module (its pages in 4 bytes, the processor time it may take in 8, nanoseconds,
// the bytes) is answered by an outcome (1 byte, and words).
const (
	magic     = "weft"
	frameHead = len(magic) + 4
	maxModule = 256 << 20 // a metered module may be some times as large as a plugin's file
	maxWords  = 64 << 10
	ready     = "ready"
)

type outcome byte

const (
	outcomeDone outcome = iota
	outcomeRefused
	outcomeBroken // the folder cannot be used
)

// How the process ends when a module took too much of the processor.
const exitEffort = 75

// hello tells the process how to work.
type hello struct {
	Folder  string `json:"folder"`
	Private bool   `json:"private"` // it is removed with the process
	Memory  int64  `json:"memory"`  // bytes; not positive: any number
	Idle    bool   `json:"idle"`    // takes only processors that nobody wants
}

// request is one module.
type request struct {
	pages  uint32
	effort time.Duration
	wasm   []byte

	idle     bool          // is to take only processors that nobody wants
	patience time.Duration // with that
}

const requestHead = 12

var errWire = errors.New("what the process that compiles says cannot be read")

// writeFrame writes the parts as one frame.
func writeFrame(w io.Writer, parts ...[]byte) error {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	head := binary.BigEndian.AppendUint32([]byte(magic), uint32(length))
	for _, p := range append([][]byte{head}, parts...) {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads one frame of at most limit bytes.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[len(magic):])
	switch {
	case string(head[:len(magic)]) != magic:
		return nil, fmt.Errorf("%w: a frame begins with %q: expected %q", errWire, head[:len(magic)], magic)
	case int64(length) > int64(limit):
		return nil, fmt.Errorf("%w: a frame of %d bytes: at most %d are expected", errWire, length, limit)
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return body, err
}

func writeHello(w io.Writer, h hello) error {
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return writeFrame(w, body)
}

func readHello(r io.Reader) (h hello, err error) {
	body, err := readFrame(r, maxWords)
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(body, &h)
}

func writeRequest(w io.Writer, m request) error {
	var head [requestHead]byte
	binary.BigEndian.PutUint32(head[:], m.pages)
	binary.BigEndian.PutUint64(head[4:], uint64(m.effort))
	return writeFrame(w, head[:], m.wasm)
}

func readRequest(r io.Reader) (request, error) {
	body, err := readFrame(r, maxModule+requestHead)
	switch {
	case err != nil:
		return request{}, err
	case len(body) < requestHead:
		return request{}, fmt.Errorf("%w: a request of %d bytes", errWire, len(body))
	}
	return request{
		pages: binary.BigEndian.Uint32(body), effort: time.Duration(binary.BigEndian.Uint64(body[4:])), wasm: body[requestHead:],
	}, nil
}

func writeOutcome(w io.Writer, o outcome, words string) error {
	return writeFrame(w, []byte{byte(o)}, []byte(words[:min(len(words), maxWords-1)]))
}

func readOutcome(r io.Reader) (outcome, string, error) {
	body, err := readFrame(r, maxWords)
	switch {
	case err != nil:
		return 0, "", err
	case len(body) == 0 || outcome(body[0]) > outcomeBroken:
		return 0, "", fmt.Errorf("%w: an outcome that is none", errWire)
	}
	return outcome(body[0]), string(body[1:]), nil
}
