package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/logging"
	"github.com/weftrun/weft/runtime/modbus"
)

// devices are the Modbus servers that weft asks. Each has goroutines of its own,
// beside the loops: one for its connection, one for each poll, one for writes.
type devices struct {
	log    *slog.Logger
	crowd  *slog.Logger // of lines that whoever may write can cause
	bus    *bus
	byName map[string]*modbusDevice
	list   []*modbusDevice // in the order of the configuration
	lost   atomic.Uint64   // answers that could not be handed to a loop

	stopAsking func() // polls and writes
	stop       func()
	asking     sync.WaitGroup
	running    sync.WaitGroup
}

// modbusDevice is one of them.
type modbusDevice struct {
	c      config.ModbusDevice
	client *modbus.Device

	polled, pollFailures, writes, writeFailures, unpublished atomic.Uint64
}

func newDevices(cfg *config.Config, log *slog.Logger, b *bus) *devices {
	ds := &devices{log: log, crowd: logging.Seldom(log, crowdLines, crowdEvery), bus: b, byName: map[string]*modbusDevice{}, stop: func() {}, stopAsking: func() {}}
	for i := range cfg.Modbus.Devices {
		c := cfg.Modbus.Devices[i]
		preset := frame.ModbusTCP
		if c.Protocol == config.ModbusRTU {
			preset = frame.ModbusRTU
		}
		f, _ := frame.Preset(preset)
		d := &modbusDevice{c: c, client: modbus.New(modbus.Options{
			Name: c.Name, Address: c.Address, Codec: f.Peer(), Serial: preset == frame.ModbusRTU,
			Timeout: c.Timeout.Std(), Retries: c.Retries, Pipeline: c.Pipeline, Queue: c.Queue,
			Reconnect: c.Reconnect.Std(), Logger: log,
		})}
		ds.byName[c.Name] = d
		ds.list = append(ds.list, d)
	}
	return ds
}

// find is the device of that name; nil if there is none. It does not allocate.
func (ds *devices) find(name []byte) *modbusDevice { return ds.byName[string(name)] }

// start runs the devices until stopped.
func (ds *devices) start(ctx context.Context) error {
	if len(ds.list) == 0 {
		return nil
	}
	running, stop := context.WithCancel(ctx)
	asking, stopAsking := context.WithCancel(running)
	ds.stop, ds.stopAsking = stop, stopAsking
	for _, d := range ds.list {
		ds.running.Go(func() { d.client.Run(running) })
		for i := range d.c.Poll {
			ds.asking.Go(func() { ds.poll(asking, d, &d.c.Poll[i]) })
		}
		if d.c.Write.Topic == "" {
			continue
		}
		sub, err := ds.bus.subscribeHere([]string{writePattern(d)}, d.c.Queue)
		if err != nil {
			return err
		}
		ds.asking.Go(func() {
			defer sub.Close()
			ds.write(asking, d, sub)
		})
	}
	return nil
}

// quiet ends what weft asks by itself: what others ask goes on.
func (ds *devices) quiet() {
	ds.stopAsking()
	ds.asking.Wait()
}

// close ends everything.
func (ds *devices) close() {
	ds.quiet()
	ds.stop()
	ds.running.Wait()
}

// poll publishes what a device says, until ctx ends.
func (ds *devices) poll(ctx context.Context, d *modbusDevice, c *config.ModbusPoll) {
	table, address, err := modbus.Find(c.At)
	if err != nil {
		ds.log.Error("a poll cannot be carried out", "device", d.c.Name, "error", err)
		return
	}
	unit := strconv.Itoa(c.Unit)
	topic := []byte(strings.NewReplacer("{device}", d.c.Name, "{unit}", unit, "{table}", table.String(), "{at}", strconv.Itoa(c.At)).Replace(c.Topic))
	attrs := abi.Attributes(nil).AppendString("device", d.c.Name).AppendString("unit", unit).
		AppendString("table", table.String()).AppendString("at", strconv.Itoa(c.At)).AppendString("count", strconv.Itoa(c.Count))
	p := modbus.Poll{
		Unit: byte(c.Unit), Table: table, Address: address, Count: c.Count, Every: c.Every.Std(),
		Raw: c.As == config.ModbusRaw, OnChange: c.OnChange,
	}
	var flags abi.Flags
	if c.Retain {
		flags = abi.FlagRetain
	}
	failing := false
	d.client.Poll(ctx, p, func(payload []byte) {
		d.polled.Add(1)
		failing = false
		ds.publish(ctx, d, &abi.Message{Flags: flags, Topic: topic, Attrs: attrs, Payload: payload})
	}, func(err error) {
		d.pollFailures.Add(1)
		if !failing {
			failing = true
			ds.log.Warn("a poll fails", "device", d.c.Name, "unit", c.Unit, "at", c.At, "error", err)
		}
	})
}

// publish takes a message to the loops. That nobody subscribes to it is no failure.
func (ds *devices) publish(ctx context.Context, d *modbusDevice, m *abi.Message) {
	copied := *m
	if _, err := ds.bus.Publish(ctx, &copied); err != nil && ctx.Err() == nil {
		d.unpublished.Add(1)
	}
}

// unitLevel is the level of a write topic that names the unit.
const unitLevel = "{unit}"

// writePattern is the pattern of the topics whose messages are written to the device.
func writePattern(d *modbusDevice) string {
	return strings.NewReplacer("{device}", d.c.Name, unitLevel, "+").Replace(d.c.Write.Topic)
}

// writeUnit is the unit that a topic means.
func writeUnit(d *modbusDevice, topic string) (byte, error) {
	levels := strings.Split(d.c.Write.Topic, "/")
	for i, level := range strings.Split(topic, "/") {
		if i < len(levels) && levels[i] == unitLevel {
			unit, err := strconv.ParseUint(level, 10, 8)
			if err != nil {
				return 0, errors.New("the level " + level + " of the topic is no unit: expected 0 to 255")
			}
			return byte(unit), nil
		}
	}
	return byte(d.c.Write.Unit), nil
}

// write carries out what is published on the device's write topic, one message after
// another.
func (ds *devices) write(ctx context.Context, d *modbusDevice, sub admin.Subscription) {
	for {
		got, err := sub.Next(ctx)
		if err != nil {
			return
		}
		unit, err := writeUnit(d, string(got.Message.Topic))
		var answer []byte
		if err == nil {
			answer, err = d.write(ctx, unit, got.Message.Payload)
		}
		d.writes.Add(1)
		if err != nil {
			d.writeFailures.Add(1)
			ds.crowd.Warn("a write failed", "device", d.c.Name, "unit", unit, "topic", string(got.Message.Topic), "error", err)
		}
		if m := writeResult(d, unit, got.Message, answer, err); m != nil {
			ds.publish(ctx, d, m)
		}
	}
}

// write carries out one message's requests until one fails, and answers the response
// to the last.
func (d *modbusDevice) write(ctx context.Context, unit byte, payload []byte) (answer []byte, err error) {
	requests, err := modbus.ParseWrite(payload)
	if err != nil {
		return nil, err
	}
	for _, pdu := range requests {
		if answer, err = d.client.Do(ctx, unit, pdu); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// writeResult is the message that tells how a write went: as JSON, with the response
// in the attribute response; nil if nobody is to be told.
func writeResult(d *modbusDevice, unit byte, request *abi.Message, answer []byte, err error) *abi.Message {
	const placeholder = "{response_topic}"
	asked, _ := request.Attrs.Get(admin.AttrResponseTopic)
	if d.c.Write.Reply == "" || len(asked) == 0 && strings.Contains(d.c.Write.Reply, placeholder) {
		return nil
	}
	result := struct {
		OK        bool   `json:"ok"`
		Error     string `json:"error,omitempty"`
		Exception uint8  `json:"exception,omitempty"`
	}{OK: err == nil}
	attrs := abi.Attributes(nil).AppendString("device", d.c.Name).AppendString("unit", strconv.Itoa(int(unit)))
	if id, ok := request.Attrs.Get("correlation_data"); ok {
		attrs = attrs.Append("correlation_data", id)
	}
	if err != nil {
		result.Error = err.Error()
		var e modbus.Exception
		if errors.As(err, &e) {
			result.Exception = uint8(e)
		}
	} else if len(answer) > 0 {
		attrs = attrs.Append("response", answer)
	}
	payload, _ := json.Marshal(result)
	topic := strings.NewReplacer("{device}", d.c.Name, unitLevel, strconv.Itoa(int(unit)), placeholder, string(asked)).Replace(d.c.Write.Reply)
	return &abi.Message{Topic: []byte(topic), Attrs: attrs, Payload: payload}
}

// metrics shows what the devices have counted.
func (ds *devices) metrics() []admin.Metric {
	if len(ds.list) == 0 {
		return nil
	}
	counter := func(name, help string, labels ...string) *family {
		return newFamily("weft_modbus_device_"+name, help, admin.Counter, append([]string{"device"}, labels...)...)
	}
	requests := counter("requests_total", "Requests to the device, by how they ended: answered (exceptions too), failed, refused because the queue was full.", "result")
	exceptions := counter("exceptions_total", "Exceptions that the device answered, by code.", "code")
	timeouts := counter("timeouts_total", "Tries that were not answered in time.")
	retries := counter("retries_total", "Tries after the first.")
	connects := counter("connects_total", "Tries to connect.", "result")
	stray := counter("stray_total", "Responses that no request waited for, and bytes that were none.", "kind")
	polls := counter("polls_total", "Polls, by how they ended; published are those whose values went on.", "result")
	writes := counter("writes_total", "Messages that were to be written.", "result")
	unpublished := counter("unpublished_total", "Values that no loop took.")
	up := newFamily("weft_modbus_device_connected", "Whether there is a connection to the device.", admin.Gauge, "device")
	waiting := newFamily("weft_modbus_device_waiting_requests", "Requests in the device's queue.", admin.Gauge, "device")
	latency := newFamily("weft_modbus_device_response_seconds", "Time from a request to its response, polls and retries included.", admin.Histogram, "device")
	for _, d := range ds.list {
		s, name := d.client.Stats(), d.c.Name
		requests.add(s.Responses, name, "answered")
		requests.add(s.Failed, name, "failed")
		requests.add(s.Busy, name, "busy")
		for _, e := range append(modbus.Exceptions(), 0) {
			exceptions.add(s.Exceptions[e], name, strconv.Itoa(int(e)))
		}
		timeouts.add(s.Timeouts, name)
		retries.add(s.Retries, name)
		connects.add(s.Connects, name, "connected")
		connects.add(s.ConnectFailures, name, "failed")
		stray.add(s.Stray, name, "response")
		stray.add(s.Garbage, name, "garbage")
		polls.add(d.polled.Load(), name, "published")
		polls.add(d.pollFailures.Load(), name, "failed")
		writes.add(d.writes.Load()-d.writeFailures.Load(), name, "done")
		writes.add(d.writeFailures.Load(), name, "failed")
		unpublished.add(d.unpublished.Load(), name)
		connected := uint64(0)
		if s.Connected {
			connected = 1
		}
		up.add(connected, name)
		waiting.add(uint64(s.Waiting), name)
		buckets := map[float64]uint64{}
		for i, bound := range modbus.LatencyBounds() {
			buckets[bound] = s.Slower[i]
		}
		latency.Samples = append(latency.Samples, admin.Sample{Labels: []string{name}, Value: s.Latency.Seconds(), Count: s.Responses, Buckets: buckets})
	}
	return []admin.Metric{requests.Metric, exceptions.Metric, timeouts.Metric, retries.Metric, connects.Metric, stray.Metric, polls.Metric,
		writes.Metric, unpublished.Metric, up.Metric, waiting.Metric, latency.Metric,
		single("weft_modbus_answers_lost_total", "Answers of devices that could not be handed to a loop.", admin.Counter, ds.lost.Load())}
}
