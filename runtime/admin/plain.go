package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Publishing and asking by plain HTTP, for people and devices: the body is the
// payload, the headers are the rest.
const (
	headerAttribute = "Weft-Attr-"
	headerTopic     = "Weft-Topic"
	headerType      = "Weft-Type"
	headerPriority  = "Weft-Priority"
	headerQoS       = "Weft-Qos"
	headerRetain    = "Weft-Retain"
	headerConvert   = "Weft-Convert"
	headerAnswer    = "Weft-Answer-Convert"
	headerWait      = "Weft-Timeout"
)

var headers = []string{headerType, headerPriority, headerQoS, headerRetain, headerConvert, headerAnswer, headerWait}

// publishHTTP is POST /v1/publish/{topic...}.
func (s *messages) publishHTTP(w http.ResponseWriter, r *http.Request) {
	m, err := s.readHTTP(w, r, weftv1.Type_TYPE_EVENT)
	var receipt Receipt
	if err == nil {
		receipt, err = s.bus.Publish(r.Context(), m)
	}
	if err != nil {
		s.failHTTP(w, r, err)
		return
	}
	s.count(r, "")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(published{receipt.Dropped == "", max(0, receipt.Delivered), receipt.Dropped, receipt.Logged})
}

// published is PublishResponse by plain HTTP.
type published struct {
	Accepted  bool   `json:"accepted"`
	Delivered int    `json:"delivered"`
	Dropped   string `json:"dropped,omitempty"`
	Logged    bool   `json:"logged,omitempty"`
}

// requestHTTP is POST /v1/request/{topic...}: its answer is the answer's payload.
func (s *messages) requestHTTP(w http.ResponseWriter, r *http.Request) {
	wait := defaultWait
	form, err := s.form(weftv1.Encoding_ENCODING_BYTES, r.Header.Get(headerAnswer))
	if text := r.Header.Get(headerWait); text != "" && err == nil {
		if wait, err = time.ParseDuration(text); err != nil {
			err = fmt.Errorf("%w: %s: %.40q is no duration; write it like 500ms or 15s", ErrInvalidMessage, headerWait, text)
		}
	}
	var m *abi.Message
	if err == nil {
		m, err = s.readHTTP(w, r, weftv1.Type_TYPE_REQUEST)
	}
	var answer Delivery
	if err == nil {
		answer, err = s.ask(r.Context(), m, wait)
	}
	if err != nil {
		s.failHTTP(w, r, err)
		return
	}
	s.count(r, "")
	writeAnswer(w, answer, form)
}

// writeAnswer writes a message as an answer of HTTP. What it is comes from
// anybody, so no browser is to run it or guess at it.
func writeAnswer(w http.ResponseWriter, d Delivery, f form) {
	payload, failure := f.convert(d.Message)
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/octet-stream")
	if utf := printable(payload); utf {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	for name, value := range d.Message.Attrs.All() {
		name, value := string(name), string(value)
		switch {
		case !isHeader(name, value):
		case name == attrContentType:
			if _, _, err := mime.ParseMediaType(value); err == nil {
				h.Set("Content-Type", value)
			}
		default:
			h.Set(headerAttribute+name, value)
		}
	}
	if topic := string(d.Message.Topic); isHeader("topic", topic) {
		h.Set(headerTopic, topic)
	}
	if failure != "" {
		h.Set("Weft-Conversion-Error", strings.ToValidUTF8(failure, "?"))
	}
	_, _ = w.Write(payload) // who asked may have gone
}

// isHeader tells whether an attribute can be a header as it is.
func isHeader(name, value string) bool {
	for _, c := range []byte(name) {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return name != "" && len(value) <= 4096 && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}

// tooLarge marks an error that HTTP has a status of its own for.
type tooLarge struct{}

func (tooLarge) Error() string { return "" }

// readHTTP makes a message of a request.
func (s *messages) readHTTP(w http.ResponseWriter, r *http.Request, kind weftv1.Type) (*abi.Message, error) {
	p := &weftv1.PublishRequest{Topic: r.PathValue("topic"), Type: kind, Converter: r.Header.Get(headerConvert), Attributes: map[string]string{}}
	if err := readHeaders(r, p); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, abi.MaxPayload))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fmt.Errorf("%w: the payload has more than %d bytes%w", ErrInvalidMessage, abi.MaxPayload, tooLarge{})
	case err != nil:
		return nil, fmt.Errorf("%w: the body could not be read: %w", ErrInvalidMessage, err)
	}
	p.Body = &weftv1.PublishRequest_Payload{Payload: body}
	return s.toMessage(p)
}

func readHeaders(r *http.Request, p *weftv1.PublishRequest) error {
	for key, values := range r.Header {
		if name, ok := strings.CutPrefix(key, headerAttribute); ok {
			p.Attributes[strings.ToLower(name)] = values[0]
		} else if strings.HasPrefix(key, "Weft-") && !slices.Contains(headers, key) {
			return fmt.Errorf("%w: unknown header %.40q; expected %s or %sNAME", ErrInvalidMessage, key, strings.Join(headers, ", "), headerAttribute)
		}
	}
	// What curl sends where nobody has said what the body is.
	if kind := r.Header.Get("Content-Type"); kind != "" && kind != "application/x-www-form-urlencoded" {
		p.Attributes[attrContentType] = kind
	}
	withTrace(r.Header, p.Attributes)
	number := func(header string, most uint64) (uint32, error) {
		text := r.Header.Get(header)
		if text == "" {
			return 0, nil
		}
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n > most {
			return 0, fmt.Errorf("%w: %s: found %.40q, expected 0 to %d", ErrInvalidMessage, header, text, most)
		}
		return uint32(n), nil
	}
	var err1, err2, err3 error
	p.Priority, err1 = number(headerPriority, abi.MaxPriority)
	p.Qos, err2 = number(headerQoS, abi.MaxQoS)
	if text := r.Header.Get(headerRetain); text != "" {
		if p.Retain, err3 = strconv.ParseBool(text); err3 != nil {
			err3 = fmt.Errorf("%w: %s: found %.40q, expected true or false", ErrInvalidMessage, headerRetain, text)
		}
	}
	if text := r.Header.Get(headerType); text != "" {
		kind, ok := weftv1.Type_value["TYPE_"+strings.ToUpper(text)]
		if !ok || kind == 0 {
			return fmt.Errorf("%w: %s: found %.40q, expected event, request, response or ack", ErrInvalidMessage, headerType, text)
		}
		p.Type = weftv1.Type(kind)
	}
	return errors.Join(err1, err2, err3)
}

// failHTTP answers with an error in the form that Connect gives it.
func (s *messages) failHTTP(w http.ResponseWriter, r *http.Request, err error) {
	var e *connect.Error
	if !errors.As(toConnect(r.Context(), s.logger, err), &e) {
		return
	}
	s.count(r, e.Code().String())
	w.Header().Set("Content-Type", "application/json")
	status := statusOf(e.Code())
	switch {
	case errors.Is(e, ErrFull):
		status = http.StatusInsufficientStorage
	case errors.Is(e, tooLarge{}):
		status = http.StatusRequestEntityTooLarge
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{e.Code().String(), e.Message()})
}

// statusOf is the status that Connect gives a code.
func statusOf(c connect.Code) int {
	switch c {
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition:
		return http.StatusBadRequest
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeUnavailable:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	case connect.CodeCanceled:
		return 499
	}
	return http.StatusInternalServerError
}

// count counts a call of plain HTTP beside the others.
func (s *messages) count(r *http.Request, code string) {
	if code == "" {
		code = "ok"
	}
	if s.calls != nil {
		procedure, _, _ := strings.Cut(strings.TrimPrefix(r.Pattern, r.Method+" "), "/{")
		s.calls.WithLabelValues(procedure, code).Inc()
	}
}

// isGone tells that a stream has ended because its client has.
func isGone(ctx context.Context, err error) bool {
	return err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil
}
