package backbone_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftrun/weft/runtime/backbone"
)

const benchRecord = 256

// plain is JetStream with the settings of weft's own server, and a stream with
// those of a log.
func plain(b *testing.B, every time.Duration) (*nats.Conn, jetstream.JetStream) {
	b.Helper()
	s, err := server.NewServer(&server.Options{
		ServerName: "plain", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: b.TempDir(),
		SyncAlways: every == 0, SyncInterval: every,
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() })
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "log", Subjects: []string{"log.*"}, AllowDirect: true, AllowAtomicPublish: true}); err != nil {
		b.Fatal(err)
	}
	return nc, js
}

// clients appends b.N records, as many at a time as there are clients: each waits for
// the answer before its next one.
func clients(b *testing.B, n int, append func(i int, done func())) {
	b.Helper()
	b.SetBytes(benchRecord)
	b.ReportAllocs()
	var wg sync.WaitGroup
	room := make(chan struct{}, n)
	for i := range b.N {
		room <- struct{}{}
		wg.Add(1)
		append(i, func() { <-room; wg.Done() })
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkAppend writes weft's log beside a plain JetStream publisher which may have
// as many records under way, on a server with the same settings.
func BenchmarkAppend(b *testing.B) {
	for _, every := range []time.Duration{0, time.Second} {
		sync := "always"
		if every > 0 {
			sync = "interval"
		}
		for _, n := range []int{1, 20, 2000} {
			name := fmt.Sprintf("sync=%s/waiting=%d/", sync, n)
			b.Run(name+"weft", func(b *testing.B) {
				benchLog(b, n, every, func(int) string { return "" })
			})
			b.Run(name+"weft-ids", func(b *testing.B) {
				benchLog(b, n, every, func(i int) string { return fmt.Sprint(i) })
			})
			b.Run(name+"plain", func(b *testing.B) { benchPlain(b, n, every, false) })
			b.Run(name+"plain-ids", func(b *testing.B) { benchPlain(b, n, every, true) })
		}
	}
}

func benchPlain(b *testing.B, n int, every time.Duration, ids bool) {
	_, js := plain(b, every)
	data := make([]byte, benchRecord)
	b.ResetTimer()
	clients(b, n, func(i int, done func()) {
		options := []jetstream.PublishOpt{jetstream.WithStallWait(time.Minute)}
		if ids {
			options = append(options, jetstream.WithMsgID(fmt.Sprint(i)))
		}
		f, err := js.PublishAsync("log.a", data, options...)
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				b.Error(err)
			}
			done()
		}()
	})
}

func benchLog(b *testing.B, n int, every time.Duration, id func(int) string) {
	l := openLog(b, open(b, func(o *backbone.Options) { o.SyncEvery, o.Size = every, 20<<30 }), backbone.LogOptions{})
	data := make([]byte, benchRecord)
	b.ResetTimer()
	clients(b, n, func(i int, done func()) {
		if err := l.Append(id(i), 0, data, func(a backbone.Appended) {
			if a.Err != nil {
				b.Error(a.Err)
			}
			done()
		}); err != nil {
			b.Fatal(err)
		}
	})
}

// benchFilled is a log with so many records.
func benchFilled(b *testing.B, n int) *backbone.Log {
	b.Helper()
	l := openLog(b, open(b, func(o *backbone.Options) { o.SyncEvery, o.Size = time.Second, 20<<30 }), backbone.LogOptions{})
	data := make([]byte, benchRecord)
	room := make(chan struct{}, 10_000)
	for range n {
		room <- struct{}{}
		if err := l.Append("", 0, data, func(backbone.Appended) { <-room }); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(room) {
		room <- struct{}{}
	}
	return l
}

func BenchmarkFollow(b *testing.B) {
	l := benchFilled(b, b.N)
	f, err := l.Follow(b.Context(), 0, 512)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(benchRecord)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		entries, err := f.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		n += len(entries)
	}
}

func BenchmarkRead(b *testing.B) {
	l := benchFilled(b, b.N)
	b.SetBytes(benchRecord)
	b.ReportAllocs()
	b.ResetTimer()
	from := uint64(0)
	for n := 0; n < b.N; {
		entries, err := l.Read(b.Context(), from, 512)
		if err != nil || len(entries) == 0 {
			b.Fatal(len(entries), err)
		}
		n += len(entries)
		from = entries[len(entries)-1].Seq + 1
	}
}

func BenchmarkWork(b *testing.B) {
	l := benchFilled(b, b.N)
	w := work(b, l, backbone.WorkOptions{Batch: 512})
	b.SetBytes(benchRecord)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		entries, err := w.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for i := range entries {
			if err := entries[i].Ack(); err != nil {
				b.Fatal(err)
			}
		}
		n += len(entries)
	}
}
