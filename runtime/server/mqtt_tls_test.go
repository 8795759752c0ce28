package server_test

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// TestMQTTByCertificate: who publishes by MQTT, now or by a will, is who the
// certificate says, whatever user properties say.
func TestMQTTByCertificate(t *testing.T) {
	fl := newFleet(t)
	f := start(t, "", fmt.Sprintf(`
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, tls: {cert: %s, key: %s, client_ca: %s, client_auth: request, identity: cn}}
api: {address: ""}
`, fl.cert, fl.key, fl.ca))
	sub, err := f.Bus().Subscribe(t.Context(), []string{"#"}, 8)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	forged := packet.Properties(nil).AppendUser([]byte("tls.cn"), []byte("root")).AppendUser([]byte("mine"), []byte("1"))
	for _, own := range []bool{true, false} {
		c := f.mqttDial(packet.V5)
		c.Conn = tls.Client(c.Conn, func() *tls.Config { cfg := fl.client(own); cfg.NextProtos = nil; return cfg }())
		if ack := c.connect("x", will("will", "w", 0, forged)); ack.Reason != packet.Success {
			t.Fatalf("%v", ack.Reason)
		}
		m := message("topic", "m", 0)
		m.Properties = forged
		c.sends(&m)
		c.send(packet.AppendDisconnect(nil, &packet.Disconnect{Reason: packet.DisconnectWithWill}, packet.V5))
		for range 2 {
			d := receive(t, sub)
			cn, ok := d.Message.Attrs.Get("tls.cn")
			mine, _ := d.Message.Attrs.Get("mine")
			if string(mine) != "1" || ok != own || own && string(cn) != "truck-7" {
				t.Errorf("%s, with a certificate %v: tls.cn %q, mine %q", d.Message.Topic, own, cn, mine)
			}
			if who, ok := d.Message.Context.Get("identity"); ok != own || own && string(who) != "truck-7" {
				t.Errorf("%s, with a certificate %v: identity %q", d.Message.Topic, own, who)
			}
		}
	}
}
