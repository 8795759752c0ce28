package std_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

const header = `{"alg":"HS256","typ":"JWT"}`

// token signs a header and claims, whatever they are.
func token(key, header, claims string) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// auth is a configuration with a key and further settings.
func auth(settings string) string {
	return strings.TrimSuffix(`{"key":"`+secret+`",`+settings, ",") + "}"
}

func TestTokens(t *testing.T) {
	sub := token(secret, header, `{"sub":"truck-7"}`)
	cut := strings.Split(sub, ".")
	claim := func(rest string) string { return token(secret, header, `{"sub":"truck-7",`+rest+`}`) }
	subject := func(s string) string { return token(secret, header, `{"sub":"`+s+`"}`) }
	for _, c := range []struct {
		name, settings, payload string
		refused                 string // the reason, or nothing if it is accepted
	}{
		{"plain", "", sub, ""},
		{"auth", "", "AUTH " + sub + "\r\n", ""},
		{"bearer", "", "Bearer " + sub, ""},
		{"in time", "", claim(fmt.Sprintf(`"exp":%d,"nbf":%d`, now+1, now)), ""},
		{"fractions of seconds", "", claim(fmt.Sprintf(`"exp":%d.5`, now+1)), ""},
		{"issuer and audience", `"issuer":"a","audience":"b"`, claim(`"iss":"a","aud":["x","b"]`), ""},
		{"one audience", `"audience":"b"`, claim(`"aud":"b"`), ""},
		{"within leeway", `"leeway":10`, claim(fmt.Sprintf(`"exp":%d`, now-9)), ""},
		{"escaped subject", "", subject(`truck\u002d7`), ""},

		{"nothing", "", "", "token: missing"},
		{"something else", "", `{"temp":4}`, "token: missing"},
		{"announced nothing", "", "AUTH ", "token: malformed"},
		{"two parts", "", "AUTH " + cut[0] + "." + cut[1], "token: malformed"},
		{"four parts", "", "AUTH " + sub + ".x", "token: malformed"},
		{"padding", "", "AUTH " + sub + "=", "token: malformed"},
		{"not base64", "", "AUTH " + cut[0] + "." + cut[1] + "!." + cut[2], "token: malformed"},
		{"other key", "", token("another key of thirty-two bytes!!", header, `{"sub":"truck-7"}`), "token: wrong signature"},
		{"no signature", "", "AUTH " + cut[0] + "." + cut[1] + ".", "token: malformed"},
		{"short signature", "", cut[0] + "." + cut[1] + "." + cut[2][:20], "token: wrong signature"},
		{"changed claims", "", cut[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"truck-8"}`)) + "." + cut[2], "token: wrong signature"},
		{"none", "", token(secret, `{"alg":"none"}`, `{"sub":"truck-7"}`), "token: wrong algorithm"},
		{"none in another case", "", token(secret, `{"alg":"hs256"}`, `{"sub":"truck-7"}`), "token: wrong algorithm"},
		{"no algorithm", "", token(secret, `{}`, `{"sub":"truck-7"}`), "token: wrong algorithm"},
		{"algorithm twice", "", token(secret, `{"alg":"HS256","alg":"none"}`, `{"sub":"truck-7"}`), "token: malformed"},
		{"critical", "", token(secret, `{"alg":"HS256","crit":["b64"],"b64":false}`, `{"sub":"truck-7"}`), "token: unsupported crit"},
		{"header no object", "", token(secret, `"HS256"`, `{"sub":"truck-7"}`), "token: malformed"},
		{"claims no object", "", token(secret, header, `["sub"]`), "token: malformed"},
		{"claims no JSON", "", token(secret, header, `{"sub":`), "token: malformed"},
		{"expired", "", claim(fmt.Sprintf(`"exp":%d`, now)), "token: expired"},
		{"beyond leeway", `"leeway":10`, claim(fmt.Sprintf(`"exp":%d`, now-10)), "token: expired"},
		{"expired long ago", "", claim(`"exp":-1`), "token: expired"},
		{"early", "", claim(fmt.Sprintf(`"nbf":%d`, now+1)), "token: not yet valid"},
		{"time as text", "", claim(`"exp":"never"`), "token: malformed"},
		{"issuer", `"issuer":"a"`, claim(`"iss":"b"`), "token: wrong issuer"},
		{"no issuer", `"issuer":"a"`, sub, "token: wrong issuer"},
		{"audience", `"audience":"b"`, claim(`"aud":["a","c"]`), "token: wrong audience"},
		{"no subject", "", token(secret, header, `{}`), "token: bad sub"},
		{"empty subject", "", subject(""), "token: bad sub"},
		{"subject of another kind", "", token(secret, header, `{"sub":7}`), "token: bad sub"},
		{"subject twice", "", token(secret, header, `{"sub":"a","sub":"b"}`), "token: malformed"},
		{"subject with levels", "", subject("a/b"), "token: bad sub"},
		{"wildcard", "", subject("+"), "token: bad sub"},
		{"wildcard", "", subject("#"), "token: bad sub"},
		{"wildcard", "", subject("a*"), "token: bad sub"},
		{"zero byte", "", subject(`a\u0000`), "token: bad sub"},
		{"long subject", "", subject(strings.Repeat("x", 257)), "token: bad sub"},
		{"patterns", "", claim(`"subscribe":"a"`), "token: bad subscribe"},
		{"pattern", "", claim(`"subscribe":["a/#/b"]`), "token: bad subscribe"},
		{"long", "", "AUTH " + claim(`"x":"`+strings.Repeat("x", 2000)+`"`), "token: too long"},
		{"long, and allowed", `"max_token":4096`, claim(`"x":"` + strings.Repeat("x", 2000) + `"`), ""},
		{"long claims", `"max_token":8192,"claims":{"fleet":"fleet"}`, claim(`"fleet":"` + strings.Repeat("x", 4096) + `"`), "token: claims too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, use{name: "jwt-auth", config: auth(c.settings)})
			b := s.run(abi.Message{Session: 1, Seq: 5, Payload: []byte(c.payload)})
			o := b.Outcomes[0]
			if c.refused != "" {
				if o.Verdict != abi.VerdictClose || string(o.Out) != c.refused || len(b.Contexts) > 0 {
					t.Fatalf("%v %q with %d contexts, want close %q", o.Verdict, o.Out, len(b.Contexts), c.refused)
				}
				return
			}
			if o.Verdict != abi.VerdictReply || string(o.Out) != "OK truck-7" || b.Messages[0].Seq != 5 {
				t.Fatalf("%v %q", o.Verdict, o.Out)
			}
			if id, _ := b.Contexts[0].Context.Get("identity"); string(id) != "truck-7" {
				t.Fatalf("the identity is %q", id)
			}
		})
	}
}

func TestSessionsAfterTheToken(t *testing.T) {
	s := newStage(t, use{name: "jwt-auth", config: auth(`"claims":{"fleet":"fleet","grade":"grade"}`)})
	claims := fmt.Sprintf(`{"sub":"truck-7","exp":%d,"fleet":"north","grade":3,"subscribe":["truck/truck-7/in/#","alarm/+"]}`, now+60)
	b := s.run(
		abi.Message{Session: 1, Payload: []byte(token(secret, header, claims))},
		abi.Message{Session: 2, Payload: []byte("data")},
		abi.Message{Session: 1, Payload: []byte("data")},
		abi.Message{Session: 1, Payload: []byte("late"), Time: (now + 60) * 1e9},
		abi.Message{Payload: []byte("from the API")},
	)
	want := []struct {
		verdict abi.Verdict
		out     string
	}{
		{abi.VerdictReply, "OK truck-7"}, {abi.VerdictClose, "token: missing"}, {abi.VerdictContinue, ""},
		{abi.VerdictClose, "token: expired"}, {abi.VerdictContinue, ""},
	}
	for i, w := range want {
		if o := b.Outcomes[i]; o.Verdict != w.verdict || string(o.Out) != w.out {
			t.Errorf("message %d: %v %q, want %v %q", i, o.Verdict, o.Out, w.verdict, w.out)
		}
	}
	if got := pairsOf(b.Contexts[0].Context); got["fleet"] != "north" || got["grade"] != "3" || got["exp"] != fmt.Sprint(now+60) {
		t.Errorf("the context is %v", got)
	}
	var patterns []string
	for _, sub := range b.Subscriptions {
		patterns = append(patterns, string(sub.Pattern))
	}
	if strings.Join(patterns, " ") != "truck/truck-7/in/# alarm/+" {
		t.Errorf("subscriptions %q", patterns)
	}
}

func TestFurtherToken(t *testing.T) {
	s := newStage(t, use{name: "jwt-auth", config: auth("")})
	known := attrs("identity", "truck-7", "exp", fmt.Sprint(now+60), "kept", "x")
	renewed := "AUTH " + token(secret, header, fmt.Sprintf(`{"sub":"truck-7","exp":%d}`, now+600))
	b := s.run(
		abi.Message{Session: 1, Context: known, Payload: []byte(renewed)},
		abi.Message{Session: 1, Context: known, Payload: []byte("data"), Time: (now + 300) * 1e9},
		abi.Message{Session: 2, Context: known, Payload: []byte("AUTH " + token(secret, header, `{"sub":"truck-8"}`))},
	)
	if b.Outcomes[0].Verdict != abi.VerdictReply || b.Outcomes[1].Verdict != abi.VerdictContinue || string(b.Outcomes[2].Out) != "token: another identity" {
		t.Errorf("%+v", b.Outcomes)
	}
	if got := pairsOf(b.Contexts[0].Context); got["exp"] != fmt.Sprint(now+600) || got["kept"] != "x" {
		t.Errorf("the context is %v", got)
	}
}

func TestWithoutClock(t *testing.T) {
	s := newStage(t, use{name: "jwt-auth", config: auth(""), noClock: true})
	b := s.run(
		abi.Message{Session: 1, Payload: []byte(token(secret, header, fmt.Sprintf(`{"sub":"a","exp":%d}`, now+60)))},
		abi.Message{Session: 2, Payload: []byte(token(secret, header, `{"sub":"b"}`))},
	)
	if o := b.Outcomes[0]; o.Verdict != abi.VerdictClose || !strings.Contains(string(o.Out), "clock") {
		t.Errorf("%v %q", o.Verdict, o.Out)
	}
	if o := b.Outcomes[1]; o.Verdict != abi.VerdictReply {
		t.Errorf("%v %q", o.Verdict, o.Out)
	}
}

func TestAuthSettings(t *testing.T) {
	good, bad := token(secret, header, `{"sub":"a"}`), token(secret, header, `{}`)
	keys := `{"keys":{"old":"` + strings.Repeat("o", 32) + `","new":"` + strings.Repeat("n", 32) + `"}}`
	kid := func(id, key string) string {
		return token(strings.Repeat(key, 32), `{"alg":"HS256","kid":"`+id+`"}`, `{"sub":"a"}`)
	}
	for _, c := range []struct {
		name, config, payload string
		verdict               abi.Verdict
		out                   string
	}{
		{"drop", auth(`"on_failure":"drop"`), bad, abi.VerdictDrop, "token: bad sub"},
		{"optional", auth(`"required":false`), "no token", abi.VerdictContinue, ""},
		{"optional, and wrong", auth(`"required":false`), bad, abi.VerdictClose, "token: bad sub"},
		{"passed on", auth(`"strip":false`), good, abi.VerdictContinue, ""},
		{"other words", auth(`"reply":"hello {identity}!"`), good, abi.VerdictReply, "hello a!"},
		{"no words", auth(`"reply":""`), good, abi.VerdictDrop, "token: accepted"},
		{"old key", keys, kid("old", "o"), abi.VerdictReply, "OK a"},
		{"new key", keys, kid("new", "n"), abi.VerdictReply, "OK a"},
		{"mixed keys", keys, kid("new", "o"), abi.VerdictClose, "token: wrong signature"},
		{"unknown key", keys, kid("other", "o"), abi.VerdictClose, "token: unknown key"},
		{"no key named", keys, good, abi.VerdictClose, "token: unknown key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, use{name: "jwt-auth", config: c.config})
			o := s.run(abi.Message{Session: 1, Payload: []byte(c.payload)}).Outcomes[0]
			if o.Verdict != c.verdict || string(o.Out) != c.out {
				t.Errorf("%v %q, want %v %q", o.Verdict, o.Out, c.verdict, c.out)
			}
		})
	}
}

func TestAuthConfigErrors(t *testing.T) {
	refused(t, "jwt-auth", map[string]string{
		`{}`:                                  "key: is missing",
		`{"key":"short"}`:                     "key: expected at least 32 bytes",
		`{"keys":{"a":"short"}}`:              "keys.a: expected at least 32 bytes",
		`{"key":7}`:                           "key: expected a secret, a public key in PEM or a JWK, found 7",
		auth(`"algorithm":"RS256"`):           "key: is a key for HS256, but algorithm is RS256",
		auth(`"algorithm":"none"`):            "algorithm: unknown value",
		auth(`"keys":{"a":"` + secret + `"}`): "keys: is set beside key",
		auth(`"issur":"a"`):                   `issur: unknown key, did you mean "issuer"`,
		auth(`"leeway":-1`):                   "leeway: expected a whole number from 0",
		auth(`"on_failure":"open"`):           "on_failure: unknown value",
		auth(`"claims":{"identity":"sub"}`):   "claims.identity: expected a name other than",
		auth(`"strip":false,"reply":"hello"`): "reply: is set although strip is false",
		`[]`:                                  "expected an object",
	})
}

// refused loads a plugin with configurations that it must refuse, saying why.
func refused(t *testing.T, name string, configs map[string]string) {
	t.Helper()
	env := newEnv(t)
	for config, want := range configs {
		_, err := load(t, env, use{name: name, config: config})
		if !errors.Is(err, plugins.ErrInit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", config, err, want)
		}
	}
}
