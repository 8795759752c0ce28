package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func retain(topic, text string) packet.Publish {
	m := message(topic, text, 1)
	m.Retain = true
	return m
}

const retaining = `
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {sys: 0s}}]
backbone: {data: %q, name: %s, url: [%s]}
api: {address: ""}
`

// Retained messages are there after a restart, with what they had; those that were
// taken away are not.
func TestRetainedMessagesOutliveTheProcess(t *testing.T) {
	folder := t.TempDir()
	config := fmt.Sprintf(retaining, folder, "one", "")
	f := start(t, "auto", config)
	c := f.mqtt(packet.V5, "c")
	m := retain("doors/1", "open")
	m.Properties = packet.Properties(nil).AppendUser([]byte("by"), []byte("cat"))
	c.publishes(m)
	c.publishes(retain("doors/2", "open"))
	c.publishes(retain("doors/2", "shut"))
	c.publishes(retain("doors/3", "open"))
	c.publishes(retain("doors/3", ""))
	c.leaves()
	f.end()

	f = start(t, "auto", config)
	f.await("weft_mqtt_retained_messages", 2)
	c = f.mqtt(packet.V5, "c")
	c.subscribes(to("doors/1", 1))
	if got := c.gets("open"); !got.Retain || string(got.Properties.Bytes(packet.UserProperty)) != "cat" {
		t.Errorf("%+v", got)
	}
	c.subscribes(to("doors/2", 1))
	c.gets("shut")
	c.subscribes(to("doors/3", 1))
	c.quiet()
	c.publishes(retain("doors/1", ""))
	c.leaves()
	f.end()

	f = start(t, "auto", config)
	f.await("weft_mqtt_retained_messages", 1)
}

// What finds no room in the backbone is written when there is room.
func TestRetainedMessagesWaitForRoom(t *testing.T) {
	config := strings.Replace(fmt.Sprintf(retaining, t.TempDir(), "one", ""), "backbone: {", "backbone: {size: 16MiB, ", 1)
	f := start(t, "auto", config)
	c := f.mqtt(packet.V5, "c")
	const n, away = 300, 60
	large := strings.Repeat("0123456789", 6000)
	for i := range n {
		c.publishes(retain(fmt.Sprint("large/", i), large))
	}
	waitFor(t, "the backbone to be full", func() bool { return f.Metric("weft_mqtt_retained_failed_total") > 0 })
	for i := range away {
		c.publishes(retain(fmt.Sprint("large/", i), ""))
	}
	f.await("weft_mqtt_retained_pending", 0)
	c.leaves()
	f.end()
	start(t, "auto", config).await("weft_mqtt_retained_messages", n-away)
}

// Nodes of one cluster retain the same: also one that comes later.
func TestRetainedMessagesOfACluster(t *testing.T) {
	url := natstest.Start(t, natstest.Options{}).URL()
	node := func(name string) *fixture {
		return start(t, "auto", fmt.Sprintf(retaining, t.TempDir(), name, fmt.Sprintf("%q", url)))
	}
	north, south := node("north"), node("south")
	c := north.mqtt(packet.V5, "c")
	for i := range 20 {
		c.publishes(retain(fmt.Sprint("doors/", i), "shut"))
	}
	south.await("weft_mqtt_retained_messages", 20)
	d := south.mqtt(packet.V5, "d")
	d.subscribes(to("doors/7", 1))
	d.gets("shut")
	d.publishes(retain("doors/8", ""))
	north.await("weft_mqtt_retained_messages", 19)
	late := node("late")
	if n := late.Metric("weft_mqtt_retained_messages"); n != 19 {
		t.Errorf("%v", n)
	}
}

// What another node has written is asked for until the backbone says what it is.
func TestWhatOthersRetainIsAskedForAgain(t *testing.T) {
	servers := natstest.Start(t, natstest.Options{})
	f := start(t, "auto", fmt.Sprintf(retaining, t.TempDir(), "one", fmt.Sprintf("%q", servers.URL())))
	c := f.mqtt(packet.V5, "c")
	c.publishes(retain("doors/1", "shut"))
	f.await("weft_mqtt_retained_written_total", 1)
	f.await("weft_mqtt_retained_pending", 0)
	servers.Pause()
	again := f.CatchUp(t.Context(), "doors/1")
	servers.Resume()
	if !again {
		t.Error("nobody asks again for what was not answered")
	}
	waitFor(t, "the backbone's answer", func() bool { return !f.CatchUp(t.Context(), "doors/1") })
	ended, end := context.WithCancel(t.Context())
	end()
	if f.CatchUp(ended, "doors/1") {
		t.Error("it is asked for for ever")
	}
}
