package server

import (
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// What a client says in user properties of CONNECT takes the place of nothing that
// weft knows about its connection, and of nothing that it is asked for.
func TestConnectForgesNothing(t *testing.T) {
	web := webState{attrs: abi.Attributes(nil).AppendString("ws.origin", "https://real").AppendString("x-forwarded-for", "192.0.2.1").AppendString(attrPassword, "token")}
	var properties packet.Properties
	for _, name := range []string{"ws.origin", "ws.path", "x-forwarded-for", "user", attrPassword, "client_id", "peer", attrIdentity, "note"} {
		properties = properties.AppendUser([]byte(name), []byte("forged"))
	}
	more := appendConnectProperties(nil, properties)
	all := append(web.over(more), more...)
	for name, want := range map[string]string{"ws.origin": "https://real", "x-forwarded-for": "192.0.2.1", attrPassword: "token", "note": "forged", "user.user": "forged"} {
		if got, _ := all.Get(name); string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"ws.path", "user", "client_id", "peer", attrIdentity} {
		if got, there := all.Get(name); there {
			t.Errorf("%s is %q", name, got)
		}
	}
	own := abi.Attributes(nil).AppendString(attrPassword, "of MQTT")
	web.attrs = abi.Attributes(nil).AppendString(attrPassword, "token")
	if left := web.over(own); len(left) > 0 {
		t.Errorf("beside MQTT's password there is %x", left)
	}
}
