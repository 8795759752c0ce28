package config

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The values of Listener.Frame for Modbus.
const (
	FrameModbusTCP = "modbus-tcp"
	FrameModbusRTU = "modbus-rtu"
)

// ListenerModbus is what a listener whose frame is "modbus-tcp" or "modbus-rtu"
// makes of requests.
type ListenerModbus struct {
	// Gateway leads requests that no plugin answered to devices, by unit: "1",
	// "10-19", or "any" for the units that no other entry names. Requests for
	// another unit are answered with exception 0x0A. Empty: they take the routes,
	// and what nothing answers is answered with exception 4.
	Gateway map[string]ModbusTarget `koanf:"gateway" yaml:"gateway"`
	// Pending is how many requests of one connection may wait for their answers;
	// more are answered with exception 6. On modbus-rtu, where a client asks one
	// thing at a time, they are dropped.
	Pending int `koanf:"pending" yaml:"pending" default:"16" min:"1" max:"1024"`
	// Timeout is how long an answer may take; then it is exception 0x0B. 0: as
	// long as requests.timeout.
	Timeout Duration `koanf:"timeout" yaml:"timeout" default:"0s" min:"0s" max:"24h"`
}

// ModbusTarget is where a gateway leads a unit's requests. In a file it is the
// device's name alone, or {device: NAME, unit: N}.
type ModbusTarget struct {
	// Device is the name of one of modbus.devices.
	Device string `koanf:"device" yaml:"device" required:"true"`
	// Unit is the unit that the device is asked for; nil: the one in the request.
	Unit *int `koanf:"unit" yaml:"unit"`
}

// Modbus is about devices that weft asks.
type Modbus struct {
	// Devices are the Modbus servers that weft polls, writes to and passes requests
	// on to.
	Devices []ModbusDevice `koanf:"devices" yaml:"devices"`
}

// ModbusDevice is one connection to one Modbus server, behind which there may be
// several units.
type ModbusDevice struct {
	// Name is unique among the devices and well formed like a listener's.
	Name string `koanf:"name" yaml:"name" required:"true" form:"name"`
	// Address is a host and a port: 192.168.1.20:502.
	Address string `koanf:"address" yaml:"address" required:"true"`
	// Protocol is tcp for Modbus TCP, rtu for RTU frames on TCP, as serial device
	// servers pass them on.
	Protocol string `koanf:"protocol" yaml:"protocol" default:"tcp" enum:"tcp,rtu"`
	// Timeout is how long each try may take, and making the connection.
	Timeout Duration `koanf:"timeout" yaml:"timeout" default:"1s" min:"1ms" max:"10m"`
	// Retries is how often a request that was not answered is sent again. A
	// request whose function is not known to bear it is sent once.
	Retries int `koanf:"retries" yaml:"retries" default:"2" min:"0" max:"100"`
	// Pipeline is how many requests may be under way at once. Always 1 with rtu.
	Pipeline int `koanf:"pipeline" yaml:"pipeline" default:"1" min:"1" max:"256"`
	// Queue is how many requests may wait for the device.
	Queue int `koanf:"queue" yaml:"queue" default:"64" min:"1" max:"65536"`
	// Reconnect is the longest wait between two tries to connect.
	Reconnect Duration `koanf:"reconnect" yaml:"reconnect" default:"10s" min:"10ms" max:"1h"`
	// Poll is what is read again and again.
	Poll []ModbusPoll `koanf:"poll" yaml:"poll"`
	// Write is how messages become writes.
	Write ModbusWrite `koanf:"write" yaml:"write"`
}

// ModbusPoll is a range of coils, discrete inputs or registers that is read again
// and again.
type ModbusPoll struct {
	// Unit is which of the device's units is asked.
	Unit int `koanf:"unit" yaml:"unit" default:"1" min:"1" max:"255"`
	// Read is the table. Empty: the one that At lies in.
	Read string `koanf:"read" yaml:"read" enum:"coils,discrete,input,holding"`
	// At is the first one's number as in the device's manual: from 1 a coil, from
	// 10001 a discrete input, 30001 an input register, 40001 a holding register
	// (and 100001, 300001, 400001 up to 65536 of each).
	At int `koanf:"at" yaml:"at" required:"true" min:"1" max:"465536"`
	// Count is how many are read: at most 2000 bits or 125 registers.
	Count int `koanf:"count" yaml:"count" default:"1" min:"1" max:"2000"`
	// Every is how often.
	Every Duration `koanf:"every" yaml:"every" default:"1s" min:"1ms" max:"168h"`
	// Topic is the template of the topic: {device}, {unit}, {table}, {at}.
	Topic string `koanf:"topic" yaml:"topic" default:"modbus/{device}/{unit}/{at}"`
	// As is json for {"40001":100,"40002":85}, raw for the bytes of the response.
	As string `koanf:"as" yaml:"as" default:"json" enum:"json,raw"`
	// OnChange publishes only what differs from the last time.
	OnChange bool `koanf:"on_change" yaml:"on_change" default:"false"`
	// Retain leaves the last values for later subscribers, where the protocol of
	// theirs has that (MQTT).
	Retain bool `koanf:"retain" yaml:"retain" default:"false"`
}

// ModbusWrite is how messages become writes.
type ModbusWrite struct {
	// Topic is the template of the topic whose messages are written: {device} is
	// the device's name, {unit} stands for a level that names the unit. The payload
	// is JSON, {"40001":5,"1":true}, or a PDU. Empty: nothing is written.
	Topic string `koanf:"topic" yaml:"topic"`
	// Unit is which unit is meant where Topic has no {unit}.
	Unit int `koanf:"unit" yaml:"unit" default:"1" min:"0" max:"255"`
	// Reply is the template of the topic on which the result is published:
	// {device}, {unit}, and {response_topic}, which is what the message asks for:
	// whoever may write then says where weft publishes. Empty: it is not published.
	Reply string `koanf:"reply" yaml:"reply"`
}

// The values of ModbusDevice.Protocol and ModbusPoll.As.
const (
	ModbusRTU = "rtu"
	ModbusRaw = "raw"
)

// defaultListenerModbus is what a Modbus listener has that says nothing of it.
func defaultListenerModbus() *ListenerModbus {
	m := &ListenerModbus{}
	d := &decoder{}
	d.structure(reflect.ValueOf(m).Elem(), nil, "")
	return m
}

// Units are the units that the text of a gateway's key names, both ends included;
// "any" are all.
func (m ListenerModbus) Units(key string) (from, to int, err error) {
	if key == "any" {
		return 0, 255, nil
	}
	low, high, isRange := strings.Cut(key, "-")
	if !isRange {
		high = low
	}
	a, errA := strconv.ParseUint(low, 10, 8)
	b, errB := strconv.ParseUint(high, 10, 8)
	if errA != nil || errB != nil || a > b {
		return 0, 0, fmt.Errorf(`expected a unit, a range such as 10-19, or "any"; 0 to 255`)
	}
	return int(a), int(b), nil
}

// IsModbus tells whether the listener's clients speak Modbus.
func (l *Listener) IsModbus() bool { return l.Frame == FrameModbusTCP || l.Frame == FrameModbusRTU }

// modbus checks what a listener says of Modbus.
func (k *checker) modbus(path string, l *Listener) {
	if l.Modbus == nil {
		return
	}
	at := join(path, "modbus")
	if !l.IsModbus() {
		k.add(at, Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Expected: "frame: modbus-tcp or modbus-rtu", Fix: "remove the key, or make it a Modbus listener"})
		return
	}
	if l.Acknowledge != "" {
		k.add(join(path, "acknowledge"), Problem{Cause: "has no effect", Found: "frame: " + l.Frame, Fix: "remove the key: who asks by Modbus gets a Modbus answer"})
	}
	taken := map[int]string{}
	for _, key := range sortedKeys(l.Modbus.Gateway) {
		place := join(at, "gateway."+key)
		k.device(place, l.Modbus.Gateway[key].Device)
		if unit := l.Modbus.Gateway[key].Unit; unit != nil && (*unit < 0 || *unit > 255) {
			k.add(join(place, "unit"), Problem{Cause: "out of range", Value: strconv.Itoa(*unit), Expected: "0 to 255"})
		}
		from, to, err := l.Modbus.Units(key)
		if err != nil {
			k.add(place, Problem{Cause: "not a unit", Value: show(key), Expected: strings.TrimPrefix(err.Error(), "expected ")})
			continue
		}
		if key == "any" {
			continue
		}
		for unit := from; unit <= to; unit++ {
			if other, twice := taken[unit]; twice {
				k.add(place, Problem{Cause: "unit given twice", Value: strconv.Itoa(unit), Found: "it is in " + show(other) + " as well", Fix: "leave it in one of them"})
				break
			}
			taken[unit] = key
		}
	}
}

func (k *checker) device(path, name string) {
	if name != "" {
		k.oneOf(path, name, k.c.deviceNames(), "unknown device", "the name of one of modbus.devices")
	}
}

func (c *Config) deviceNames() []string {
	names := make([]string, 0, len(c.Modbus.Devices))
	for i := range c.Modbus.Devices {
		names = append(names, c.Modbus.Devices[i].Name)
	}
	return names
}

func (c *Config) isDevice(name string) bool { return slices.Contains(c.deviceNames(), name) }

// devices checks the devices that weft asks.
func (k *checker) devices() {
	seen := map[string]bool{}
	for i := range k.c.Modbus.Devices {
		d := &k.c.Modbus.Devices[i]
		path := join("modbus.devices", strconv.Itoa(i))
		if d.Name != "" {
			k.name(join(path, "name"), d.Name)
			if seen[d.Name] {
				k.add(join(path, "name"), Problem{Cause: "name given twice", Value: show(d.Name), Fix: "choose another name"})
			}
			seen[d.Name] = true
		}
		if _, port, err := net.SplitHostPort(d.Address); d.Address != "" && (err != nil || port == "" || strings.HasPrefix(d.Address, ":")) {
			k.add(join(path, "address"), Problem{Cause: "not an address", Value: show(d.Address), Expected: "a host and a port, such as 192.168.1.20:502"})
		}
		if d.Protocol == ModbusRTU && d.Pipeline > 1 {
			k.add(join(path, "pipeline"), Problem{Cause: "out of range", Value: strconv.Itoa(d.Pipeline), Expected: "1 with protocol rtu: an answer does not say which request it is for"})
		}
		for j := range d.Poll {
			k.poll(join(path, "poll."+strconv.Itoa(j)), &d.Poll[j])
		}
		if d.Write.Topic != "" {
			k.placeholders(join(path, "write.topic"), d.Write.Topic, "device", "unit")
			k.placeholders(join(path, "write.reply"), d.Write.Reply, "device", "unit", "response_topic")
		} else if d.Write.Reply != "" {
			k.add(join(path, "write.reply"), Problem{Cause: "has no effect", Value: show(d.Write.Reply), Fix: "give write.topic as well, or remove it"})
		}
	}
}

// placeholders checks a template of a topic that knows but these names.
func (k *checker) placeholders(path, text string, known ...string) {
	if text == "" {
		return
	}
	k.topic(path, text)
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "{")
		name, tail, closed := strings.Cut(after, "}")
		if !found || !closed {
			return
		}
		if !slices.Contains(known, name) {
			k.add(path, Problem{Cause: "unknown placeholder", Value: "{" + name + "}", Expected: "{" + strings.Join(known, "}, {") + "}"})
		}
		rest = tail
	}
}

// Table is which table the poll reads, and the address of its first value, from 0.
func (p *ModbusPoll) Table() (table string, address int, err error) {
	tables := map[int]string{0: "coils", 1: "discrete", 3: "input", 4: "holding"}
	base := 10000
	if p.At >= 100000 {
		base = 100000
	}
	table, ok := tables[p.At/base]
	if p.At > 65536 && p.At < 100000 {
		ok = false
	}
	address = p.At%base - 1
	if !ok || address < 0 || address >= 65536 {
		return "", 0, fmt.Errorf("expected 1 to 9999, or 1, 3 or 4 and four or five digits from 0001: 10001, 30001, 40001")
	}
	return table, address, nil
}

func (k *checker) poll(path string, p *ModbusPoll) {
	k.placeholders(join(path, "topic"), p.Topic, "device", "unit", "table", "at")
	if p.Topic == "" {
		k.add(join(path, "topic"), Problem{Cause: "missing value", Expected: "a topic"})
	}
	table, address, err := p.Table()
	if err != nil {
		if p.At > 0 {
			k.add(join(path, "at"), Problem{Cause: "no such number", Value: strconv.Itoa(p.At), Expected: strings.TrimPrefix(err.Error(), "expected ")})
		}
		return
	}
	if p.Read != "" && p.Read != table {
		k.add(join(path, "read"), Problem{Cause: "contradiction", Value: p.Read, Found: fmt.Sprintf("at: %d, which is in %s", p.At, table), Fix: "correct one of them, or remove read"})
	}
	most := 2000
	if table == "input" || table == "holding" {
		most = 125
	}
	switch {
	case p.Count > most:
		k.add(join(path, "count"), Problem{Cause: "out of range", Value: strconv.Itoa(p.Count), Expected: fmt.Sprintf("at most %d: one request reads no more", most), Fix: "divide it into several polls"})
	case address+p.Count > 65536:
		k.add(join(path, "count"), Problem{Cause: "out of range", Value: strconv.Itoa(p.Count), Expected: fmt.Sprintf("at most %d: a table has 65536 values", 65536-address)})
	}
}
