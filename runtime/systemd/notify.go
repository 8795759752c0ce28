// Package systemd speaks with the service manager that has started this process: it
// tells it how the process fares (sd_notify(3)) and takes the sockets that it has opened
// (sd_listen_fds(3)). Where no manager asks for it, nothing happens.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// The variables by which the manager says what it wants.
const (
	notifySocket = "NOTIFY_SOCKET"
	watchdogTime = "WATCHDOG_USEC"
	watchdogPID  = "WATCHDOG_PID"
)

// Notifier tells the manager how the process fares. The zero value and nil tell nobody.
// It is safe for concurrent use.
type Notifier struct {
	conn  *net.UnixConn
	every time.Duration // the watchdog's time; 0: it does not watch
}

// NewNotifier finds the manager in the environment of the process called pid. An error
// means that there is one and that it cannot be told.
func NewNotifier(getenv func(string) string, pid int) (*Notifier, error) {
	path := getenv(notifySocket)
	if path == "" {
		return &Notifier{}, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("%s=%q: expected a path, or @ and an abstract name", notifySocket, path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", notifySocket, err)
	}
	n := &Notifier{conn: conn}
	if other := getenv(watchdogPID); other != "" && other != strconv.Itoa(pid) {
		return n, nil // it is somebody else whom the manager watches
	}
	if text := getenv(watchdogTime); text != "" {
		micros, err := strconv.ParseInt(text, 10, 64)
		if err != nil || micros <= 0 {
			return nil, fmt.Errorf("%s=%q: expected microseconds", watchdogTime, text)
		}
		n.every = time.Duration(micros) * time.Microsecond
	}
	return n, nil
}

// Ready tells that the process serves; status is for people. It also ends a reload.
func (n *Notifier) Ready(status string) error { return n.tell("READY=1", "STATUS="+status) }

// Reloading tells that the configuration is read again; Ready ends that.
func (n *Notifier) Reloading() error {
	return n.tell("RELOADING=1", "STATUS=reading the configuration again")
}

// Stopping tells that the process is about to end.
func (n *Notifier) Stopping(status string) error { return n.tell("STOPPING=1", "STATUS="+status) }

// tell sends one datagram of assignments.
func (n *Notifier) tell(assignments ...string) error {
	if n == nil || n.conn == nil {
		return nil
	}
	for i, a := range assignments {
		assignments[i] = strings.ReplaceAll(a, "\n", " ") // a line is an assignment
	}
	if _, err := n.conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}

// Close gives the notifier's socket back. Nothing may be told afterwards.
func (n *Notifier) Close() error {
	if n == nil || n.conn == nil {
		return nil
	}
	return n.conn.Close()
}
