package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// errNoKey says that etcd has no such key.
var errNoKey = errors.New("no such key in etcd")

// etcdOptions say which etcd is asked, and as whom.
type etcdOptions struct {
	// Address is the URL of a member's client port.
	Address, Key string
	// User and the file with their password; both may be empty.
	User, PasswordFile string
	TLS                *tls.Config
}

// etcd speaks with etcd by its JSON gateway (/v3/kv/range, /v3/watch), which every server
// has: bytes are base64, and 64-bit numbers are text, as protobuf's JSON has them.
type etcd struct {
	options   etcdOptions
	client    *http.Client
	transport *http.Transport
	token     string
}

type keyValue struct {
	Value       []byte `json:"value"`
	ModRevision uint64 `json:"mod_revision,string"`
}

func newEtcd(o etcdOptions) *etcd {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig: o.TLS, TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 10 * time.Second,
	}
	return &etcd{options: o, client: &http.Client{Transport: t}, transport: t}
}

// Close closes what is kept of connections.
func (e *etcd) Close() { e.transport.CloseIdleConnections() }

// Get is the value and the revision of its last change.
func (e *etcd) Get(ctx context.Context) ([]byte, uint64, error) {
	answer, err := e.ask(ctx, "/v3/kv/range", map[string]any{"key": []byte(e.options.Key)})
	if err != nil {
		return nil, 0, err
	}
	defer answer.Close()
	var found struct {
		KVs []keyValue `json:"kvs"`
	}
	if err := json.NewDecoder(io.LimitReader(answer, 2*MaxDocument)).Decode(&found); err != nil {
		return nil, 0, fmt.Errorf("etcd's answer: %w", err)
	}
	if len(found.KVs) == 0 {
		return nil, 0, fmt.Errorf("%w: %s: write it by etcdctl put %s <weft.yaml", errNoKey, e.options.Key, e.options.Key)
	}
	return found.KVs[0].Value, found.KVs[0].ModRevision, nil
}

// Next waits for a change after the revision. That the key is deleted is none.
func (e *etcd) Next(ctx context.Context, after uint64) ([]byte, uint64, error) {
	answer, err := e.ask(ctx, "/v3/watch", map[string]any{"create_request": map[string]any{
		"key": []byte(e.options.Key), "start_revision": fmt.Sprint(after + 1), "filters": []string{"NODELETE"}, "progress_notify": true,
	}})
	if err != nil {
		return nil, 0, err
	}
	defer answer.Close()
	stream := json.NewDecoder(answer)
	for {
		var said struct {
			Result struct {
				Canceled bool   `json:"canceled"`
				Reason   string `json:"cancel_reason"`
				Compact  uint64 `json:"compact_revision,string"`
				Events   []struct {
					KV keyValue `json:"kv"`
				} `json:"events"`
			} `json:"result"`
			Error *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := stream.Decode(&said); err != nil {
			return nil, 0, fmt.Errorf("etcd's watch: %w", err)
		}
		switch {
		case said.Result.Compact > 0: // the change may be among what was thrown away
			return e.Get(ctx)
		case said.Error != nil:
			return nil, 0, fmt.Errorf("etcd's watch: %s", said.Error.Message)
		case said.Result.Canceled:
			return nil, 0, fmt.Errorf("etcd has ended the watch: %s", said.Result.Reason)
		case len(said.Result.Events) > 0:
			newest := said.Result.Events[len(said.Result.Events)-1].KV
			return newest.Value, newest.ModRevision, nil
		}
	}
}

// ask sends a request as the user, with a new token if the one that it has does not hold
// any more.
func (e *etcd) ask(ctx context.Context, path string, question any) (io.ReadCloser, error) {
	if e.options.User != "" && e.token == "" {
		if err := e.login(ctx); err != nil {
			return nil, err
		}
	}
	answer, status, err := e.post(ctx, path, question)
	if status == http.StatusUnauthorized && e.options.User != "" {
		if err := e.login(ctx); err != nil {
			return nil, err
		}
		answer, _, err = e.post(ctx, path, question)
	}
	return answer, err
}

func (e *etcd) login(ctx context.Context) error {
	password, err := os.ReadFile(e.options.PasswordFile)
	if err != nil {
		return fmt.Errorf("the password: %w", err)
	}
	e.token = ""
	answer, _, err := e.post(ctx, "/v3/auth/authenticate", map[string]string{"name": e.options.User, "password": strings.TrimRight(string(password), "\r\n")})
	if err != nil {
		return err
	}
	defer answer.Close()
	var let struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(io.LimitReader(answer, 1<<16)).Decode(&let); err != nil {
		return fmt.Errorf("etcd's answer: %w", err)
	}
	e.token = let.Token
	return nil
}

func (e *etcd) post(ctx context.Context, path string, question any) (io.ReadCloser, int, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.options.Address+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if e.token != "" {
		request.Header.Set("Authorization", e.token)
	}
	answer, err := e.client.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("asking etcd: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		var fault struct {
			Message string `json:"message"`
		}
		_ = json.NewDecoder(io.LimitReader(answer.Body, 1<<16)).Decode(&fault) // else the status says it
		return nil, answer.StatusCode, fmt.Errorf("etcd refuses: %s: %s", answer.Status, fault.Message)
	}
	return answer.Body, answer.StatusCode, nil
}
