package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/configs"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
)

// builtIn is what the configuration that weft brings along is called in messages.
const builtIn = "(built in) weft.yaml"

// source is where a command's configuration comes from.
type source struct {
	file string
	sets []string
}

// flags adds those that choose a configuration.
func (s *source) flags(cmd *cobra.Command, sys system) {
	cmd.Flags().StringVarP(&s.file, "config", "c", sys.getenv("WEFT_CONFIG"), "configuration `FILE`: YAML, TOML or JSON (also WEFT_CONFIG; none: the built-in example)")
	cmd.Flags().StringArrayVar(&s.sets, "set", nil, "override one `KEY=VALUE`, such as api.address=127.0.0.1:0 (repeatable)")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml", "toml", "json") // the flag exists
}

// load reads and checks the configuration. Its errors have exit code 3.
func (s *source) load(sys system) (*config.Config, error) {
	overrides, err := pairs("set", s.sets)
	if err != nil {
		return nil, err
	}
	o := config.Options{File: s.file, Env: sys.env, Overrides: overrides, Presets: frame.Presets(), StdPlugins: std.Names()}
	if s.file == "" {
		o.File, o.Data = builtIn, configs.Default
	}
	cfg, err := config.Load(o)
	if err == nil {
		return cfg, nil
	}
	fix := ""
	if errors.Is(err, config.ErrFile) {
		fix = "Without -c weft runs the built-in example; weft help run tells how to begin with a file of your own."
	}
	return nil, fail(exitConfig, err, fix)
}

// example tells whether the configuration is the one that weft brings along.
func (s *source) example() bool { return s.file == "" }

// fileOf is a configuration's name for messages.
func fileOf(cfg *config.Config) string {
	return strings.TrimPrefix(cfg.File(), "./")
}

// exampleConfig is the text of the built-in example.
func exampleConfig() []byte { return configs.Default }
