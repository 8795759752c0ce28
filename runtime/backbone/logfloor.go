package backbone

import (
	"context"
	"fmt"
)

// Worked returns the number below which every record of a work was answered: nobody
// gets those again. 0 is a work that has not begun.
func (l *Log) Worked(ctx context.Context, name string) (uint64, error) {
	s, err := l.stream.get(ctx)
	if err != nil {
		return 0, l.wrap(fmt.Errorf("work %s: %w", name, err))
	}
	c, err := s.Consumer(ctx, token(name))
	if err != nil {
		return 0, l.wrap(fmt.Errorf("work %s: %w", name, known(err)))
	}
	info := c.CachedInfo()
	if info.NumAckPending == 0 && info.NumPending == 0 {
		return seqOf(info.Delivered.Stream+1, 0), nil
	}
	return seqOf(info.AckFloor.Stream+1, 0), nil
}
