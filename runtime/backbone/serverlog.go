package backbone

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/runtime/logging"
)

// Of each kind of lines so many are logged at once, then one in so long.
const (
	linesAtOnce = 10
	linesEvery  = 10 * time.Second
)

// serverLog takes the lines of the server in this process: warnings and errors go to
// weft's log, seldom; the rest is of no use to who runs weft.
type serverLog struct {
	log     *slog.Logger
	trouble atomic.Bool // an error was logged since it was last asked for

	mu    sync.Mutex
	fatal string // what the server would have ended its process for
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: logging.Seldom(log, linesAtOnce, linesEvery)}
}

// Noticef is not logged.
func (*serverLog) Noticef(string, ...any) {}

// Debugf is not logged.
func (*serverLog) Debugf(string, ...any) {}

// Tracef is not logged.
func (*serverLog) Tracef(string, ...any) {}

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("the backbone's server warns", "text", fmt.Sprintf(format, v...))
}

// Errorf logs an error.
func (l *serverLog) Errorf(format string, v ...any) {
	l.trouble.Store(true)
	l.log.Error("the backbone's server has an error", "text", fmt.Sprintf(format, v...))
}

// Fatalf keeps why the server gives up: weft decides itself what that means.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
}

// gaveUp is why the server gave up; empty if it did not.
func (l *serverLog) gaveUp() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
