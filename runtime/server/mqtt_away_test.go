package server_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// Many clients go, more messages than a window holds reach each of them meanwhile, and
// they return: none misses one, each comes in order, and a message that waits for all
// is kept once. WEFT_AWAY is how many clients; 100 without it.
func TestMQTTManyReturn(t *testing.T) {
	clients, messages := 100, 4000
	if n, err := strconv.Atoi(os.Getenv("WEFT_AWAY")); err == nil {
		clients = n
	}
	if underRace || testing.Short() {
		clients, messages = 20, 400
	}
	f := start(t, "auto", fmt.Sprintf(mqttConfig, 2))
	pub := f.mqtt(packet.V5, "pub")
	for i := range clients {
		c := f.mqtt(packet.V5, fmt.Sprint("meter-", i), persistent)
		c.subscribes(to("orders/#", 1))
		c.leaves()
	}
	f.awaitOf("weft_mqtt_sessions", "away", float64(clients))
	for i := range messages {
		pub.publishes(message("orders/new", fmt.Sprintf("%04d %0100d", i, 0), 1))
	}
	f.await("weft_mqtt_queued_messages", float64(clients*messages))
	if bytes, bound := f.Metric("weft_mqtt_queued_bytes"), float64(messages*2*1024+clients*messages*20); bytes > bound {
		t.Errorf("%v bytes wait, more than %v", bytes, bound)
	}
	var all sync.WaitGroup
	turn := make(chan struct{}, 32)
	for i := range clients {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			c := f.mqttDial(packet.V5)
			c.connect(fmt.Sprint("meter-", i), persistent)
			for k := range messages {
				if m := c.gets(fmt.Sprintf("%04d %0100d", k, 0)); m.Dup {
					t.Errorf("client %d: message %d is marked as a duplicate", i, k)
				}
			}
			_ = c.Close()
		})
	}
	all.Wait()
	f.await("weft_mqtt_queued_messages", 0)
	if left, most := f.Metric("weft_mqtt_queued_bytes"), float64(clients*1536); left > most {
		t.Errorf("%v bytes are left, more than a small window each", left)
	}
	if lost := f.Metric("weft_mqtt_session_dropped_total"); lost != 0 {
		t.Errorf("%v were lost", lost)
	}
}
