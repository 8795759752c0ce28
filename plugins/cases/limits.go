package cases

import (
	"log/slog"
	"time"

	"github.com/weftrun/weft/plugins"
)

func setCPU(_ *plugins.Spec, _ time.Duration) {}

func envConfig(cacheDir string, logger *slog.Logger, c *clock) plugins.EnvConfig {
	return plugins.EnvConfig{CacheDir: cacheDir, Logger: logger, Clock: c}
}
