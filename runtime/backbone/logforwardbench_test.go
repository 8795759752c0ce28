package backbone_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
)

// BenchmarkForward has so many records wait in the node's own log while the cluster is
// away, and sends them when it is back: records a second of both, with ids.
func BenchmarkForward(b *testing.B) {
	for _, servers := range []int{1, 3} {
		b.Run(fmt.Sprintf("servers-%d", servers), func(b *testing.B) {
			const records = 5000
			list := natstest.Cluster(b, servers)
			bb := open(b, func(o *backbone.Options) { o.URLs, o.Within = natstest.URLs(list), 20*time.Second })
			l := openLog(b, bb, backbone.LogOptions{Window: time.Hour, Pending: records})
			next := 0
			fill := func(n int) {
				var all sync.WaitGroup
				for range n {
					next++
					all.Add(1)
					if err := l.Append(fmt.Sprint("id-", next), 0, make([]byte, benchRecord), func(a backbone.Appended) {
						if a.Err != nil {
							b.Error(a.Err)
						}
						all.Done()
					}); err != nil {
						b.Fatal(err)
					}
				}
				all.Wait()
			}
			var kept, sent time.Duration
			for b.Loop() {
				for _, s := range list {
					s.Pause()
				}
				fill(1)
				begun := time.Now()
				fill(records)
				kept += time.Since(begun)
				if w := l.Waiting(); w.Backlog < records {
					b.Fatalf("%+v", w)
				}
				for _, s := range list {
					s.Resume()
				}
				for l.Waiting().Backlog == records+1 {
					time.Sleep(time.Millisecond)
				}
				for begun = time.Now(); l.Waiting().Away; {
					time.Sleep(time.Millisecond)
				}
				sent += time.Since(begun)
			}
			b.ReportMetric(float64(b.N*records)/kept.Seconds(), "kept/s")
			b.ReportMetric(float64(b.N*records)/sent.Seconds(), "sent/s")
		})
	}
}
