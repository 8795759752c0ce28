package modbus_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/modbus"
)

func TestParseWrite(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{`{"40001":5}`, "0600000005"},
		{`{"40001":-1}`, "060000ffff"},
		{`{"1":true}`, "050000ff00"},
		{`{"1":0}`, "0500000000"},
		{`{"40001":5,"40002":6}`, "100000000204 00050006"},
		{`{"40003":[7,8],"40001":[5,6]}`, "1000000004080005000600070008"},
		{`{"40001":5,"40003":7,"2":true}`, "050001ff00 0600000005 0600020007"},
		{`{"1":[true,false,true,true,false,false,true,true,true,false]}`, "0f0000000a02cd01"},
		{`{"410000":1}`, "06270f0001"},
		{`{"465536":1}`, "06ffff0001"},
		{"\x16\x00\x04\x00\xf2\x00\x25", "16000400f20025"},
		{`{}`, ""}, {``, ""}, {`{"40001":65536}`, ""}, {`{"40001":-32769}`, ""}, {`{"40001":1.5}`, ""}, {`{"40001":"5"}`, ""},
		{`{"40001":true}`, ""}, {`{"1":2}`, ""}, {`{"30001":1}`, ""}, {`{"10001":true}`, ""}, {`{"temperature":1}`, ""}, {`{"0":1}`, ""},
		{`{"20001":1}`, ""}, {`{"465537":1}`, ""}, {`{"465536":[1,2]}`, ""}, {`{"40001":[1,2],"40002":3}`, ""}, {`{"40001":[]}`, ""}, {`{"40001":1`, ""},
		{strings.Repeat("x", 254), ""},
	} {
		requests, err := modbus.ParseWrite([]byte(c.payload))
		var got string
		for _, pdu := range requests {
			got += hex.EncodeToString(pdu)
		}
		if want := strings.ReplaceAll(c.want, " ", ""); got != want || (want == "") != errors.Is(err, modbus.ErrWrite) {
			t.Errorf("%s: %s, %v; want %s", c.payload, got, err, want)
		}
	}
	// More than one request carries becomes several.
	requests, err := modbus.ParseWrite([]byte(`{"40001":[` + strings.Repeat("1,", 299) + `1]}`))
	if err != nil || len(requests) != 3 || len(requests[0]) != 6+246 || len(requests[2]) != 6+2*54 {
		t.Errorf("%d requests, %v", len(requests), err)
	}
}

func TestNumbers(t *testing.T) {
	for number, want := range map[int]string{1: "coils 0", 9999: "coils 9998", 10001: "discrete 0", 30001: "input 0", 40001: "holding 0", 49999: "holding 9998", 410000: "holding 9999", 465536: "holding 65535", 110000: "discrete 9999"} {
		table, address, err := modbus.Find(number)
		if got := table.String() + " " + itoa(address); err != nil || got != want || table.Number(address) != number {
			t.Errorf("%d: %s, %d, %v; want %s", number, got, table.Number(address), err, want)
		}
	}
	for _, number := range []int{0, -1, 10000, 20001, 40000, 50001, 465537, 500000, 200001} {
		if table, address, err := modbus.Find(number); err == nil {
			t.Errorf("%d is %v %d", number, table, address)
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// Values are published when they change, after a failure anew, and as numbers.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{})
		defer b.stop()
		answers := [][]byte{{3, 4, 0, 100, 0, 85}, {3, 4, 0, 100, 0, 85}, {3, 4, 0, 101, 0, 85}, {0x83, 4}, {3, 4, 0, 101, 0, 85}}
		go func() {
			p := b.accept()
			for _, pdu := range answers {
				m, _ := p.next()
				p.answer(m, pdu...)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		var got []string
		b.device.Poll(ctx, modbus.Poll{Unit: 1, Table: modbus.Holding, Count: 2, Every: time.Second, OnChange: true},
			func(payload []byte) { got = append(got, string(payload)) }, func(err error) { got = append(got, err.Error()) })
		want := `{"40001":100,"40002":85} {"40001":101,"40002":85} modbus exception 4: server device failure {"40001":101,"40002":85}`
		if all := strings.Join(got, " "); all != want {
			t.Errorf("%s", all)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, frame.ModbusTCP, modbus.Options{})
		defer b.stop()
		go func() {
			p := b.accept()
			for {
				m, ok := p.next()
				if !ok {
					return
				}
				p.answer(m, m.Payload[0], 2, 0b10110101, 1)
			}
		}()
		for _, c := range []struct {
			poll modbus.Poll
			want string
		}{
			{modbus.Poll{Unit: 1, Table: modbus.Coils, Address: 9, Count: 9}, `{"10":true,"11":false,"12":true,"13":false,"14":true,"15":true,"16":false,"17":true,"18":true}`},
			{modbus.Poll{Unit: 1, Table: modbus.Discrete, Address: 0, Count: 9, Raw: true}, "\xb5\x01"},
			{modbus.Poll{Unit: 1, Table: modbus.Input, Address: 9999, Count: 1}, `{"310000":46337}`},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			c.poll.Every = time.Second
			b.device.Poll(ctx, c.poll, func(payload []byte) {
				if string(payload) != c.want {
					t.Errorf("%q, want %q", payload, c.want)
				}
				cancel()
			}, nil)
			cancel()
		}
	})
}
