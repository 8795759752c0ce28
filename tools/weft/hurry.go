package main

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/server"
)

// hurryWithin is how long an end at once may take: beyond it the process ends whatever
// it waits for.
const hurryWithin = 3 * time.Second

// hurryOnSecond ends the server's drain when the signal comes, until the function that
// it returns is called.
func hurryOnSecond(again <-chan struct{}, srv *server.Server, log *slog.Logger) (stop func()) {
	done := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-again:
		case <-done:
			return
		}
		log.Warn("asked to stop a second time: the drain is cut short")
		srv.Hurry()
		timer := time.NewTimer(hurryWithin)
		defer timer.Stop()
		select {
		case <-timer.C:
			total := srv.Ledger()
			log.Error("ended at once, since something did not end", "in", total.In, "delivered", total.Delivered, "lost", total.Lost(), "in_flight", total.InFlight(), "dead_letters_discarded", srv.KeptLetters())
			os.Exit(exitRuntime)
		case <-done:
		}
	})
	return func() {
		close(done)
		waiting.Wait()
	}
}
