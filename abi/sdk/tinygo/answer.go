package weft

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// Answer is what an asynchronous host call brought.
type Answer struct {
	Token  uint64 // which call it was, as given to [Pause]
	Status int32  // 0, or the number of the error
	Bytes  []byte
}

// Response is what a server has answered, whatever it said.
type Response struct {
	Status int        // the status code, 200 to 599
	Header Attributes // names in lower case
	Body   []byte
}

// HTTP is the answer of a request, or why there is none: ErrDenied, it was
// redirected to a host that is not granted; ErrLimit, it is too large; ErrTimeout,
// it took too long; ErrFailed.
func (a Answer) HTTP() (Response, error) {
	if err := host.Check(int64(a.Status)); err != nil {
		return Response{}, err
	}
	if len(a.Bytes) < answerHTTPSize {
		return Response{}, ErrFailed
	}
	length, rest := word(a.Bytes[answerHTTPHeader:]), a.Bytes[answerHTTPSize:]
	if uint64(length) > uint64(len(rest)) {
		return Response{}, ErrFailed
	}
	return Response{
		Status: int(word(a.Bytes[answerHTTPStatus:])),
		Header: Attributes{rest[:length:length]},
		Body:   rest[length:],
	}, nil
}

func word(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
