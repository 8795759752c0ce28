package server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
	"github.com/weftrun/weft/runtime/server"
)

// lines is a log that a test reads.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// Whoever can connect can be refused, speak nonsense and take sessions over as often
// as they like: the log has some of it and the figures all.
func TestMQTTACrowdDoesNotFillTheLog(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			var log lines
			srv, err := server.New(t.Context(), server.Options{Config: load(t, withLoops(mqttConfig, 1)), Logger: slog.New(slog.NewTextHandler(&log, nil)), Driver: driver})
			if err != nil {
				t.Fatal(err)
			}
			f := run(t, srv)
			for range 60 {
				c := f.mqttDial(packet.V5)
				c.send([]byte{0x00, 0})
				_ = c.Close()
				_ = f.mqtt(packet.V5, "same")
			}
			f.awaitOf("weft_mqtt_faults_total", "malformed_packet", 60)
			f.await("weft_mqtt_takeovers_total", 59)
			for _, text := range []string{"not as MQTT orders", "session taken over"} {
				if n := log.count(text); n < 1 || n > 25 {
					t.Errorf("%d lines %q, expected some 20", n, text)
				}
			}
		})
	}
}

// What is refused has figures that are there before the first is.
func TestMQTTRefusalsAreCounted(t *testing.T) {
	eachMQTT5(t, `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {shared: false, subscribe: ["mine/#"]}}]
api: {address: ""}
`, func(t *testing.T, f *fixture) {
		for _, at := range []struct {
			metric, reason string
		}{
			{"weft_mqtt_refused_total", "bad_user_name_or_password"},
			{"weft_mqtt_faults_total", "malformed_packet"},
			{"weft_mqtt_subscriptions_refused_total", "not_authorized"},
		} {
			f.awaitOf(at.metric, at.reason, 0)
		}
		c := f.mqtt(packet.V5, "c")
		for _, filter := range []string{"yours/#", "mine/#", "$share/g/mine/#"} {
			c.subscribes(packet.Subscription{Filter: []byte(filter)})
		}
		f.awaitOf("weft_mqtt_subscriptions_refused_total", "not_authorized", 1)
		f.awaitOf("weft_mqtt_subscriptions_refused_total", "shared_subscriptions_not_supported", 1)
		if n := f.Metric("weft_mqtt_subscriptions_refused_total"); n != 2 {
			t.Errorf("%v subscriptions refused, expected 2", n)
		}
	})
}

// What was meant for another port is named: nobody guesses "TLS" from "reserved flags".
func TestMQTTStrangersAreNamed(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"},
	} {
		var log lines
		srv, err := server.New(t.Context(), server.Options{Config: load(t, withLoops(mqttConfig, 1)), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		f := run(t, srv)
		c := f.mqttDial(packet.V5)
		c.send([]byte(test.sent))
		f.await("weft_mqtt_faults_total", 1)
		if log.count("it looks like "+test.want) != 1 {
			t.Errorf("%q: the log does not say that it looks like %s:\n%s", test.sent, test.want, log.buf.String())
		}
		f.end()
	}
}

// A will that a client may not leave is refused in the log, too, and a crowd of them
// does not fill it.
func TestMQTTARefusedWillIsLogged(t *testing.T) {
	var log lines
	srv, err := server.New(t.Context(), server.Options{Config: load(t, withLoops(mqttConfig, 1)), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, srv)
	for range 40 {
		c := f.mqttDial(packet.V5)
		if ack := c.connect("liar", will("$SYS/broker/version", "mine", 0, nil)); ack.Reason != packet.NotAuthorized {
			t.Fatalf("CONNACK says %v", ack.Reason)
		}
		_ = c.Close()
	}
	f.awaitOf("weft_mqtt_refused_total", "not_authorized", 40)
	if n := log.count("the will's topic is not one"); n < 1 || n > 25 {
		t.Errorf("%d lines, expected some 20", n)
	}
	if log.count("client=liar") == 0 || log.count("topic=$SYS/broker/version") == 0 {
		t.Error("the log does not say who wanted to leave which will")
	}
}

// String is what was written so far.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
