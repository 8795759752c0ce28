package cases

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/weftrun/weft/plugins"
)

func setCPU(s *plugins.Spec, d time.Duration) { s.CPU = d }

func envConfig(cacheDir string, logger *slog.Logger, c *clock) plugins.EnvConfig {
	return plugins.EnvConfig{CacheDir: cacheDir, Logger: logger, Clock: c, HTTP: noNetwork{}}
}

// noNetwork fails every request: a case says the same on every machine.
type noNetwork struct{}

var errNoNetwork = errors.New("cases have no network")

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoNetwork }
