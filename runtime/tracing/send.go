package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"connectrpc.com/connect"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// laterError is why a request was not taken that may be later.
type laterError struct {
	err   error
	after time.Duration // 0: nothing was said
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

func newSender(o *Options) (sender, error) {
	at, err := url.Parse(o.Endpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return nil, fmt.Errorf("%w: %.100q, expected a URL such as http://127.0.0.1:4318", ErrEndpoint, o.Endpoint)
	}
	wire := &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second}
	if o.TLS != nil {
		wire.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			c := o.TLS(host).Clone()
			if o.Protocol == GRPC {
				c.NextProtos = []string{"h2"}
			}
			return (&tls.Dialer{Config: c}).DialContext(ctx, network, address)
		}
	}
	client := &http.Client{Transport: wire, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if o.Protocol == GRPC {
		wire.Protocols = new(http.Protocols)
		wire.Protocols.SetHTTP2(true)
		wire.Protocols.SetUnencryptedHTTP2(true)
		at := &url.URL{Scheme: at.Scheme, Host: at.Host, Path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export"}
		return &grpcSender{wire, o.Headers, connect.NewClient[collector.ExportTraceServiceRequest, collector.ExportTraceServiceResponse](client, at.String(),
			connect.WithGRPC(), connect.WithSendGzip(), connect.WithReadMaxBytes(maxAnswer))}, nil
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/v1/traces"
	}
	return &httpSender{wire, client, at.String(), o.Headers}, nil
}

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 10

// httpSender is OTLP over HTTP (OTLP specification, "OTLP/HTTP").
type httpSender struct {
	wire    *http.Transport
	client  *http.Client
	at      string
	headers http.Header
}

func (s *httpSender) send(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	body, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("spans cannot be encoded: %w", err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.at, &packed)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, s.headers)
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("User-Agent", "weft")
	response, err := s.client.Do(r)
	if err != nil {
		return nil, &laterError{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		var said collector.ExportTraceServiceResponse
		if err == nil {
			// An answer that says nothing readable is one that refuses nothing.
			_ = proto.Unmarshal(answer, &said)
		}
		return &said, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		later := &laterError{err: fmt.Errorf("status %.60s", response.Status)}
		if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
			later.after = time.Duration(seconds) * time.Second
		}
		return nil, later
	}
	return nil, fmt.Errorf("status %.60s", response.Status)
}

func (s *httpSender) close() { s.wire.CloseIdleConnections() }

// grpcSender is OTLP over gRPC, by the client that the API's tools use as well: gRPC's
// own would be larger than all the rest of it.
type grpcSender struct {
	wire    *http.Transport
	headers http.Header
	client  *connect.Client[collector.ExportTraceServiceRequest, collector.ExportTraceServiceResponse]
}

func (s *grpcSender) send(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r := connect.NewRequest(request)
	maps.Copy(r.Header(), s.headers)
	answer, err := s.client.CallUnary(ctx, r)
	if err == nil {
		return answer.Msg, nil
	}
	switch connect.CodeOf(err) {
	case connect.CodeCanceled, connect.CodeDeadlineExceeded, connect.CodeAborted, connect.CodeOutOfRange, connect.CodeUnavailable, connect.CodeDataLoss, connect.CodeResourceExhausted:
		return nil, &laterError{err: err}
	}
	if network := net.Error(nil); errors.As(err, &network) {
		return nil, &laterError{err: err}
	}
	return nil, err
}

func (s *grpcSender) close() { s.wire.CloseIdleConnections() }
