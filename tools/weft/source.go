package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/configs"
	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/remote"
)

// builtIn is what the configuration that weft brings along is called in messages.
const builtIn = "(built in) weft.yaml"

// source is where a command's configuration comes from.
type source struct {
	file string
	sets []string

	distant distant // where file is an address
}

// flags adds those that choose a configuration.
func (s *source) flags(cmd *cobra.Command, sys system) {
	cmd.Flags().StringVarP(&s.file, "config", "c", sys.getenv("WEFT_CONFIG"), "configuration `FILE`: YAML, TOML or JSON, or an address: nats://, consul://, etcd:// (also WEFT_CONFIG; none: the built-in example)")
	cmd.Flags().StringArrayVar(&s.sets, "set", nil, "override one `KEY=VALUE`, such as api.address=127.0.0.1:0 (repeatable)")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml", "toml", "json") // the flag exists
}

// load reads and checks the configuration. Its errors have exit code 3.
func (s *source) load(sys system) (*config.Config, error) {
	return s.read(context.Background(), sys)
}

// read is load until ctx ends.
func (s *source) read(ctx context.Context, sys system) (*config.Config, error) {
	overrides, err := pairs("set", s.sets)
	if err != nil {
		return nil, err
	}
	o := config.Options{File: s.file, Env: sys.env, Reserved: clientVariables(), Overrides: overrides, Presets: frame.Presets(), StdPlugins: std.Names()}
	switch {
	case s.file == "":
		o.File, o.Data = builtIn, configs.Default
	case remote.Is(s.file):
		if err := s.distant.fill(ctx, s.file, &o); err != nil {
			return nil, fail(exitConfig, err, "")
		}
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
