package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// firstSocket is the descriptor of the first socket that a manager passes; the others
// follow it.
const firstSocket = 3

// maxSockets bounds what a variable may claim.
const maxSockets = 1024

// Sockets are the sockets that the manager has opened for the process called pid, by
// name (FileDescriptorName=), each name's in the order of the unit. They are the
// caller's, and are not inherited by processes that it starts. None: nil. It may be
// called once.
func Sockets(getenv func(string) string, pid int) (map[string][]*os.File, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil // none, or somebody else's
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 0 || count > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS=%q: expected a number of sockets up to %d", getenv("LISTEN_FDS"), maxSockets)
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	passed := map[string][]*os.File{}
	for i := range count {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		file, err := take(firstSocket+i, name)
		if err != nil {
			return nil, fmt.Errorf("socket %d of %d that was passed, %q: %w", i+1, count, name, err)
		}
		passed[name] = append(passed[name], file)
	}
	return passed, nil
}
