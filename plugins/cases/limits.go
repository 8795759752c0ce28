package cases

import (
	"log/slog"
	"time"

	"github.com/weftrun/weft/plugins"
)

func setCPU(s *plugins.Spec, d time.Duration) { s.CPU = d }

func envConfig(cacheDir string, logger *slog.Logger, c *clock) plugins.EnvConfig {
	return plugins.EnvConfig{CacheDir: cacheDir, Logger: logger, Clock: c}
}
