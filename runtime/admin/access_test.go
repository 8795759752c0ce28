package admin_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/tlsconf"
)

// tokens by the role that they have.
var tokens = map[string]string{"messages": "messages-messages-1", "read": "read-read-read-read", "operate": "operate-operate-op"}

// guarded starts a server that knows the tokens and nobody else.
func guarded(t *testing.T, more func(*admin.Options)) *rig {
	t.Helper()
	access := &admin.Access{}
	for name, token := range tokens {
		role, err := admin.ParseRole(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := access.AddToken(name, role, token+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	return start(t, func(o *admin.Options) {
		o.Access = access
		o.DeadLetters = &fakeLetters{store: delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 1, Bytes: 1 << 10})}
		if more != nil {
			more(o)
		}
	})
}

func (r *rig) with(t *testing.T, method, path, credential, body string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		request.Header.Set("Authorization", credential)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := client(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// procedures are the paths of all calls that the definitions have.
func procedures(t *testing.T) []string {
	t.Helper()
	var list []string
	protoregistry.GlobalFiles.RangeFilesByPackage("weft.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for k := range s.Methods().Len() {
				list = append(list, "/"+string(s.FullName())+"/"+string(s.Methods().Get(k).Name()))
			}
		}
		return true
	})
	if len(list) < 20 {
		t.Fatalf("only %d calls: %q", len(list), list)
	}
	return list
}

// Every call, and every other path, without a credential, with one that nobody has, with
// one that is no token, and with one of a role that is not enough.
func TestEveryCallAsksWhoCalls(t *testing.T) {
	r := guarded(t, nil)
	for _, path := range append(procedures(t), "/nothing/Here") {
		for _, credential := range []string{"", "Bearer wrong-wrong-wrong-wrong", "Basic " + tokens["operate"], "Bearer " + tokens["operate"] + "x", "Bearer"} {
			if code := r.with(t, http.MethodPost, path, credential, "{}").StatusCode; code != http.StatusUnauthorized && code != http.StatusTooManyRequests {
				t.Errorf("%s with %q: %d", path, credential, code)
			}
		}
		need, known := admin.NeedOf(path)
		if !known && path != "/nothing/Here" {
			t.Errorf("%s: it is not said who may call it", path)
		}
		for name, token := range tokens {
			code := r.with(t, http.MethodPost, path, "bearer "+token, "{").StatusCode // no JSON: what is let in is refused for it
			if allowed := code != http.StatusForbidden; allowed != need[name] {
				t.Errorf("%s as %s: %d", path, name, code)
			}
		}
	}
	for _, path := range procedures(t) { // in whatever protocol
		for _, kind := range []string{"application/proto", "application/connect+proto", "application/grpc", "application/grpc-web+proto", "application/grpc-web-text", "text/plain"} {
			for _, credential := range []string{"", "Bearer wrong-wrong-wrong-wrong"} {
				q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, strings.NewReader("\x00\x00\x00\x00\x00"))
				if err != nil {
					t.Fatal(err)
				}
				q.Header.Set("Content-Type", kind)
				if credential != "" {
					q.Header.Set("Authorization", credential)
				}
				answer, err := http.DefaultClient.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				code := answer.Header.Get("Grpc-Status") + answer.Trailer.Get("Grpc-Status") // resource_exhausted is 8, unauthenticated 16
				if said := answer.Status + string(text); code != "8" && code != "16" && !strings.Contains(said, "credential") {
					t.Errorf("%s by %s with %q: %s", path, kind, credential, said)
				}
			}
		}
	}
	for path, want := range map[string]map[string]int{
		"/metrics":              {"": 401, "messages": 403, "read": 200, "operate": 200},
		"/":                     {"": 401, "messages": 403, "read": 200, "operate": 200},
		"/healthz":              {"": 200, "read": 200},
		"/readyz":               {"": 503, "read": 503},
		"/../metrics":           {"": 401},
		"/%2e%2e/metrics":       {"": 401},
		"//metrics":             {"": 401},
		"/healthz/../metrics":   {"": 401},
		"/v1/subscribe?topic=a": {"": 401},
	} {
		for name, code := range want {
			credential := ""
			if name != "" {
				credential = "Bearer " + tokens[name]
			}
			if got := r.with(t, http.MethodGet, path, credential, "").StatusCode; got != code && got != http.StatusTooManyRequests {
				t.Errorf("GET %s as %q: %d, not %d", path, name, got, code)
			}
		}
	}
	if got := r.with(t, http.MethodPost, "/v1/publish/a", "Bearer "+tokens["read"], "x").StatusCode; got != http.StatusForbidden {
		t.Errorf("who may only read publishes: %d", got)
	}
	if got := r.with(t, http.MethodPost, "/v1/publish/a", "Bearer "+tokens["messages"], "x").StatusCode; got != http.StatusOK {
		t.Errorf("who may publish: %d", got)
	}
}

// A client of gRPC and one of Connect hear the code of their protocol.
func TestRefusalsByProtocol(t *testing.T) {
	r := guarded(t, nil)
	for name, options := range map[string][]connect.ClientOption{"connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}} {
		client := weftv1connect.NewMessagesClient(client(t, name == "gRPC"), r.url, options...)
		_, err := client.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a"}))
		if connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s without a token: %v", name, err)
		}
		request := connect.NewRequest(&weftv1.PublishRequest{Topic: "a"})
		request.Header().Set("Authorization", "Bearer "+tokens["read"])
		if _, err = client.Publish(t.Context(), request); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%s with the wrong role: %v", name, err)
		}
		request = connect.NewRequest(&weftv1.PublishRequest{Topic: "a"})
		request.Header().Set("Authorization", "Bearer "+tokens["messages"])
		if _, err = client.Publish(t.Context(), request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who tries tokens is slowed down; who has one is let in from the same address.
func TestTriesAreSlowedDown(t *testing.T) {
	r := guarded(t, nil)
	slow := 0
	for range 30 {
		if r.with(t, http.MethodGet, "/metrics", "Bearer guess-guess-guess-guess", "").StatusCode == http.StatusTooManyRequests {
			slow++
		}
	}
	if slow == 0 {
		t.Error("30 tries, and none was refused for their number")
	}
	answer := r.with(t, http.MethodGet, "/metrics", "Bearer "+tokens["read"], "")
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`weft_api_refused_total{reason="rate"}`)) || !bytes.Contains(text, []byte(`weft_api_refused_total{reason="unauthenticated"} 10`)) {
		t.Errorf("who has a token: %d %s", answer.StatusCode, text)
	}
	if strings.Contains(string(text), tokens["read"]) || strings.Contains(r.log.String(), "guess-guess") || strings.Contains(r.log.String(), tokens["read"]) {
		t.Error("a token is in the log or in the metrics")
	}
}

// Calls that are not about messages are bounded for each caller.
func TestCallsAreBounded(t *testing.T) {
	r := guarded(t, func(o *admin.Options) { o.Calls = 1 })
	codes := map[int]int{}
	for range 20 {
		codes[r.with(t, http.MethodGet, "/metrics", "Bearer "+tokens["read"], "").StatusCode]++
	}
	if codes[http.StatusOK] < 2 || codes[http.StatusTooManyRequests] == 0 {
		t.Errorf("20 at once, 1 a second is allowed: %v", codes)
	}
	if code := r.with(t, http.MethodGet, "/metrics", "Bearer "+tokens["operate"], "").StatusCode; code != http.StatusOK {
		t.Errorf("another caller: %d", code)
	}
	for range 10 {
		if code := r.with(t, http.MethodPost, "/v1/publish/a", "Bearer "+tokens["messages"], "x").StatusCode; code != http.StatusOK {
			t.Errorf("a message: %d", code)
		}
	}
}

// A token that can be guessed is not taken.
func TestWeakTokens(t *testing.T) {
	access := &admin.Access{}
	for _, text := range []string{"", "\n", "123456789012345", " 12345678901234 \n"} {
		if err := access.AddToken("weak", admin.ReadRole, text); !errors.Is(err, admin.ErrWeakToken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Nor is one that is there under another name.
func TestSameToken(t *testing.T) {
	access := &admin.Access{}
	const text = "planted-planted-planted"
	if err := access.AddToken("a", admin.ReadRole, text); err != nil {
		t.Fatal(err)
	}
	if err := access.AddToken("b", admin.OperateRole, " "+text+"\n"); !errors.Is(err, admin.ErrSameToken) || strings.Contains(err.Error(), text) {
		t.Errorf("got %v", err)
	}
}

// What an operator does is in the log, with who it was and how it ended.
func TestAudit(t *testing.T) {
	r := guarded(t, nil)
	r.with(t, http.MethodPost, weftv1connect.DeadLettersPurgeProcedure, "Bearer "+tokens["operate"], `{}`)
	r.with(t, http.MethodPost, weftv1connect.DeadLettersListProcedure, "Bearer "+tokens["operate"], `{}`)
	r.with(t, http.MethodPost, weftv1connect.DeadLettersPurgeProcedure, "Bearer "+tokens["read"], `{}`)
	log := r.log.String()
	for _, want := range []string{"audit: an operator's call", `caller="token operate"`, weftv1connect.DeadLettersPurgeProcedure, "audit: an API call was refused", "role read"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, weftv1connect.DeadLettersListProcedure) {
		t.Errorf("who only looks is in the log:\n%s", log)
	}
}

// New credentials hold from the moment on at which they are set.
func TestAccessChanges(t *testing.T) {
	r := guarded(t, nil)
	next := &admin.Access{}
	if err := next.AddToken("new", admin.ReadRole, "another-token-of-it"); err != nil {
		t.Fatal(err)
	}
	r.server.SetAccess(next)
	if code := r.with(t, http.MethodGet, "/metrics", "Bearer "+tokens["read"], "").StatusCode; code != http.StatusUnauthorized {
		t.Errorf("the old one: %d", code)
	}
	if code := r.with(t, http.MethodGet, "/metrics", "Bearer another-token-of-it", "").StatusCode; code != http.StatusOK {
		t.Errorf("the new one: %d", code)
	}
}

// Every answer has the headers that keep browsers from making a page of it.
func TestStrictHeaders(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"/", "/metrics", "/healthz", "/nothing"} {
		h := r.with(t, http.MethodGet, path, "", "").Header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// A certificate's names decide, the first that is named.
func TestCertificatesHaveRoles(t *testing.T) {
	a := &admin.Access{Certified: admin.ReadRole, Anonymous: admin.MessagesRole}
	a.AddCertificate("spiffe://example.org/ops", admin.OperateRole)
	a.AddCertificate("nobody.example.org", admin.NoRole)
	for names, want := range map[string]admin.Role{
		"spiffe://example.org/ops||":                    admin.OperateRole,
		"|ops|":                                         admin.ReadRole,
		"||a.example.org,nobody.example.org":            admin.NoRole,
		"spiffe://example.org/ops|x|nobody.example.org": admin.OperateRole,
		"||": admin.ReadRole,
		"spiffe://example.org/ops/more|spiffe.example.org,x|": admin.ReadRole,
	} {
		part := strings.SplitN(names, "|", 3)
		if _, role := admin.ByCertificate(a, tlsconf.Identity{SPIFFE: part[0], CN: part[1], Names: part[2]}); role != want {
			t.Errorf("%s: %s, not %s", names, role, want)
		}
	}
}
