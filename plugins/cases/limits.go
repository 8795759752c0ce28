package cases

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/weftrun/weft/plugins"
)

// FuelPerMicrosecond is what a microsecond of CPU time is worth in a case: the same
// on every machine. It is about what machines of today make of it.
const FuelPerMicrosecond = 4000

func envConfig(cacheDir string, logger *slog.Logger, c *clock) plugins.EnvConfig {
	return plugins.EnvConfig{CacheDir: cacheDir, Logger: logger, Clock: c, HTTP: noNetwork{}, FuelPerMicrosecond: FuelPerMicrosecond}
}

// noNetwork fails every request: a case says the same on every machine.
type noNetwork struct{}

var errNoNetwork = errors.New("cases have no network")

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoNetwork }
