package backbone

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Logs tells which logs there are, whoever made them, by the names of their options,
// with the messages that each holds, delayed ones included. A message is a record, or a
// group of them.
func (b *Backbone) Logs(ctx context.Context) (map[string]uint64, error) {
	logs := map[string]uint64{}
	prefix := token(b.options.Prefix)
	for _, kind := range []string{"log", "delay"} {
		list := b.js.ListStreams(ctx, jetstream.WithStreamListSubject(prefix+"."+kind+".>"))
		for info := range list.Info() {
			if name, ours := strings.CutPrefix(info.Config.Name, prefix+"_"+kind+"_"); ours {
				logs[textOf(name)] += info.State.Msgs
			}
		}
		if err := list.Err(); err != nil {
			return nil, fmt.Errorf("the list of logs: %w", known(err))
		}
	}
	return logs, nil
}

// textOf reads what token wrote.
func textOf(token string) string {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] == '_' && i+2 < len(token) {
			if c, err := strconv.ParseUint(token[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(token[i])
	}
	return b.String()
}
