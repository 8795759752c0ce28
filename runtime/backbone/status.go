package backbone

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Status is how the backbone is, and what it holds.
type Status struct {
	State State
	// Embedded says that the server is in this process, Node is this node's name.
	Embedded bool
	Node     string
	// Dir is the data folder, Free what its disk has left in bytes, -1 if it is not
	// known.
	Dir  string
	Free int64
	Disk Disk
	// Sync is when what is acknowledged is on the disk: "always", "every 1s", or
	// "as the servers are set".
	Sync string
	// Used is how many bytes are stored, Limit how many may be, -1 without a limit;
	// Reserved is set aside for streams with a size. Memory and MemoryLimit are the
	// same of what is in memory.
	Used, Limit, Reserved int64
	Memory, MemoryLimit   int64
	// Streams and Consumers count what JetStream has; external: in weft's account.
	Streams, Consumers int
	// Payload is the largest message that the servers take, in bytes.
	Payload int64
	// Requests and Failures count questions to JetStream and those that failed.
	Requests, Failures uint64
	// At is when this was asked.
	At time.Time
}

// Status asks the servers. When they cannot be reached it is what was last known, with
// the state as it is now, and the error.
func (b *Backbone) Status(ctx context.Context) (Status, error) {
	err := b.refresh(ctx)
	return b.Snapshot(), err
}

// Snapshot is what is known without asking: at most some seconds old while the
// backbone is connected. It does not wait.
func (b *Backbone) Snapshot() Status {
	var s Status
	if last := b.last.Load(); last != nil {
		s = *last
	}
	s.State = b.tracker.now()
	if b.folder != nil {
		s.Free = free(b.folder.path)
	}
	return s
}

// refresh asks for what Snapshot answers.
func (b *Backbone) refresh(ctx context.Context) error {
	account, err := b.js.AccountInfo(ctx)
	if err != nil {
		return known(err)
	}
	s := &Status{
		Embedded: b.server != nil, Node: b.options.Node, Dir: b.folder.path, Disk: b.disk, Sync: clusterSync,
		Used: int64(account.Store), Reserved: int64(account.ReservedStore), Limit: account.Limits.MaxStore,
		Memory: int64(account.Memory), MemoryLimit: account.Limits.MaxMemory,
		Streams: account.Streams, Consumers: account.Consumers, Payload: b.payload(),
		Requests: account.API.Total, Failures: account.API.Errors, At: time.Now(),
	}
	if s.Embedded {
		s.Limit, s.MemoryLimit, s.Sync = b.options.Size, b.options.Memory, "always"
		if b.options.SyncEvery > 0 {
			s.Sync = "every " + b.options.SyncEvery.String()
		}
	}
	b.last.Store(s)
	return nil
}

// clusterSync says when external servers write.
const clusterSync = "as the servers are set"

// older tells whether a version such as 2.14.1 is below major.minor; false if it is no
// version.
func older(version string, major, minor int) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	x, errX := strconv.Atoi(parts[0])
	y, errY := strconv.Atoi(parts[1])
	return errX == nil && errY == nil && (x < major || x == major && y < minor)
}
