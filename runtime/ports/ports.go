// Package ports reserves TCP ports of loopback for tests and tools that start a server
// again on the port it had: what was free a moment ago may be another's by then, above
// all the near end of somebody's outgoing connection, for which the system takes any
// port that nobody has.
package ports

import "sync"

// Reserve returns a TCP port of 127.0.0.1 that is this process's until release is
// called, which may be at any time and more than once. Servers of any process can
// listen on it, one after the other, if they set SO_REUSEADDR, as all that Go listens
// with do. The system gives it to nobody who asks for any port. In between, who
// connects to it is refused. Outside of Linux the port is free, and not held.
func Reserve() (port int, release func(), err error) {
	port, free, err := reserve()
	if err != nil {
		return 0, nil, err
	}
	return port, sync.OnceFunc(free), nil
}
