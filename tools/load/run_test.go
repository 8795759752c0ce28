package load_test

import (
	"testing"
	"time"

	"github.com/weftrun/weft/tools/load"
)

func TestClosedLoopLosesNothing(t *testing.T) {
	r := newRelay(t)
	res, err := load.Run(t.Context(), load.Config{
		Address: r.addr(), Protocol: &load.NATS{}, Publishers: 3, Subscribers: 4,
		Topics: load.Series("t.{n}", 5), Subscribe: load.Partition(load.Series("t.{n}", 5), 2),
		Window: 500, Count: 20_000, Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := res.Counts
	if c.Sent != 20_000 || c.Expected != 40_000 || c.Received != 40_000 || !c.Clean() {
		t.Errorf("%+v", c)
	}
}
