package clients

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const registers = `
listeners:
  - {name: tcp, address: "127.0.0.1:0", frame: modbus-tcp, chain: [registers]}
  - {name: rtu, address: "127.0.0.1:0", frame: modbus-rtu, chain: [registers]}
  - {name: bare, address: "127.0.0.1:0", frame: modbus-tcp}
plugins:
  registers:
    file: "std:modbus-registers"
    grants: {kv: {namespace: plant}, publish: {topics: ["modbus/#"]}}
    config:
      registers:
        - {at: 40001, name: temperature, value: 100}
        - {at: 40002, name: humidity, value: 85}
        - {at: 1, name: lamps, count: 20}
        - {at: 10001, name: doors, count: 10, value: true}
        - {at: 30001, name: voltage, value: 230}
api: {address: "127.0.0.1:0"}
`

// poll is one run of mbpoll (by libmodbus). It answers what it has read or written,
// and what went wrong.
func poll(t *testing.T, to []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(need(t, "mbpoll"), append(append([]string{"-q", "-1", "-o", "5"}, args...), to...)...)
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	out, _ := cmd.CombinedOutput()
	var said []string
	for _, line := range strings.Split(string(out), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "Written") || strings.Contains(line, "failed") {
			said = append(said, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(said, "; ")
}

// tcp are the arguments that lead mbpoll to a listener, rtu to the end of a serial
// line whose other end socat connects to one.
func tcp(t *testing.T, address string) (options, to []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-m", "tcp", "-p", port}, []string{host}
}

func rtu(t *testing.T, address string) (options, to []string) {
	t.Helper()
	line := filepath.Join(t.TempDir(), "line")
	cmd := exec.Command(need(t, "socat"), "pty,raw,echo=0,link="+line, "tcp:"+address)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(line); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("socat made no serial line")
		}
	}
	return []string{"-m", "rtu", "-b", "9600", "-P", "none"}, []string{line}
}

// mbpoll asks for and writes everything that the standard plugin serves, by both
// protocols, and is refused what it may not.
func TestMbpoll(t *testing.T) {
	need(t, "mbpoll")
	w := start(t, registers)
	for name, by := range map[string]func(*testing.T, string) ([]string, []string){"tcp": tcp, "rtu": rtu} {
		t.Run(name, func(t *testing.T) {
			options, to := by(t, w.address(name))
			for _, c := range []struct {
				what, args, values, want string
			}{
				{"16: write registers", "-t 4 -r 1", "100 85", "Written 2 references."},
				{"3: read registers", "-t 4 -r 1 -c 2", "", "[1]: 100; [2]: 85"},
				{"6: write a register", "-t 4 -r 1", "101", "Written 1 references."},
				{"3: it is written", "-t 4 -r 1 -c 2", "", "[1]: 101; [2]: 85"},
				{"15: write coils", "-t 0 -r 2", "1 0 1", "Written 3 references."},
				{"5: write a coil", "-t 0 -r 1", "1", "Written 1 references."},
				{"1: read coils", "-t 0 -r 1 -c 5", "", "[1]: 1; [2]: 1; [3]: 0; [4]: 1; [5]: 0"},
				{"2: read inputs", "-t 1 -r 9 -c 2", "", "[9]: 1; [10]: 1"},
				{"4: read input registers", "-t 3 -r 1", "", "[1]: 230"},
				{"exception 2", "-t 4 -r 3", "", "Read output (holding) register failed: Illegal data address"},
				{"exception 2 of a write", "-t 4 -r 2", "1 2", "Write output (holding) register failed: Illegal data address"},
			} {
				args := append(append([]string{}, options...), "-a", "7")
				args = append(args, strings.Fields(c.args)...)
				if got := poll(t, append(append([]string{}, to...), strings.Fields(c.values)...), args...); got != c.want {
					t.Errorf("%s: %s, want %s", c.what, got, c.want)
				}
			}
		})
	}
	t.Run("nothing serves", func(t *testing.T) {
		options, to := tcp(t, w.address("bare"))
		if got := poll(t, to, append(options, "-a", "1", "-t", "4")...); got != "Read output (holding) register failed: Slave device or server failure" {
			t.Errorf("%s", got)
		}
	})
	said := metrics(t, w.address("api"))
	for _, listener := range []string{"tcp", "rtu"} {
		for _, function := range []int{1, 2, 3, 4, 5, 6, 15, 16} {
			if counted := fmt.Sprintf("weft_modbus_requests_total{function=\"%d\",listener=%q} ", function, listener); !strings.Contains(said, counted) {
				t.Errorf("function %d was not asked for by %s", function, listener)
			}
		}
	}
}

// metrics is what weft's API says of itself.
func metrics(t *testing.T, address string) string {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// foreign starts a Modbus server by pymodbus and answers its address.
func foreign(t *testing.T, protocol string) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, whose modules they are
	if err := exec.Command(python, "-c", "import pymodbus.server.async_io").Run(); err != nil {
		need(t, "pymodbus") // says that it is not here
	}
	cmd := exec.Command(python, "testdata/modbus_server.py", protocol)
	cmd.Stderr = os.Stderr
	out := newLines()
	from := pipe(t, cmd.StdoutPipe)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	go out.read(from)
	line := out.await(t, "port", func(line string) bool { return strings.HasPrefix(line, "port ") })
	return "127.0.0.1:" + strings.TrimPrefix(line, "port ")
}

// Between mbpoll and pymodbus weft is a gateway: from TCP to RTU and back, by unit.
func TestModbusGateway(t *testing.T) {
	need(t, "mbpoll")
	w := start(t, fmt.Sprintf(`
listeners:
  - {name: tcp, address: "127.0.0.1:0", frame: modbus-tcp, modbus: {gateway: {1: plc, 2: {device: serial, unit: 1}, 3: gone}}}
  - {name: rtu, address: "127.0.0.1:0", frame: modbus-rtu, modbus: {gateway: {1-2: plc}}}
  - {name: lines, address: "127.0.0.1:0", frame: line, subscribe: ["plant/#"]}
modbus:
  devices:
    - name: plc
      address: %q
      poll: [{at: 40001, count: 3, every: 20ms, topic: "plant/{device}", on_change: true}]
    - {name: serial, address: %q, protocol: rtu}
    - {name: gone, address: "127.0.0.1:1", timeout: 200ms, retries: 0}
api: {address: ""}
`, foreign(t, "tcp"), foreign(t, "rtu")))
	listen, err := net.Dial("tcp", w.address("lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	heard := newLines()
	go heard.read(listen)
	if _, err := fmt.Fprintln(listen, "here"); err != nil {
		t.Fatal(err)
	}
	heard.await(t, "acknowledgement", func(line string) bool { return line == "ACK: here" }) // it hears what changes from now on

	options, to := tcp(t, w.address("tcp"))
	serial, line := rtu(t, w.address("rtu"))
	for _, c := range []struct {
		name        string
		options, to []string
		args, want  string
	}{
		{"TCP to TCP", options, to, "-a 1 -t 4 -r 1 -c 2", "[1]: 100; [2]: 101"},
		{"TCP to RTU", options, to, "-a 2 -t 3 -r 5", "[5]: 204"},
		{"RTU to TCP", serial, line, "-a 2 -t 0 -r 1 -c 2", "[1]: 0; [2]: 1"},
		{"the device's own exception", options, to, "-a 2 -t 4 -r 1000", "Read output (holding) register failed: Illegal data address"},
		{"exception 0x0B", options, to, "-a 3 -t 4 -r 1", "Read output (holding) register failed: Target device failed to respond"},
		{"exception 0x0A", options, to, "-a 9 -t 4 -r 1", "Read output (holding) register failed: Gateway path unavailable"},
	} {
		if got := poll(t, c.to, append(append([]string{}, c.options...), strings.Fields(c.args)...)...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	// A write goes through, and the poll tells of it.
	if got := poll(t, append(append([]string{}, to...), "777"), append(append([]string{}, options...), "-a", "1", "-t", "4", "-r", "3")...); got != "Written 1 references." {
		t.Error(got)
	}
	heard.await(t, "poll", func(line string) bool { return line == `{"40001":100,"40002":101,"40003":777}` })
}
