package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/configs"
	"github.com/weftrun/weft/runtime/config"
)

func configCommand(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Prints a configuration, with where each value comes from, and its schema",
		Example: `weft config print -c weft.yaml --origins     # what holds, and where each value comes from
weft config print -c weft.yaml --given       # without the defaults
weft config schema >weft.schema.json         # for editors that complete the keys`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configShowCommand(sys), configReloadCommand(sys), configPrintCommand(sys), configSchemaCommand())
	return cmd
}

func configPrintCommand(sys system) *cobra.Command {
	var s source
	var p config.Printing
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Prints the configuration that would hold: defaults, file, environment and flags put together",
		Long: `Prints the configuration that "weft run" would take: defaults, then the file, then the environment, then --set. What it
prints is a configuration file again. Secrets are not printed: "` + config.Hidden + `" stands in their place, or the reference by
which they are given. Paths stay relative to the folder that they were relative to.

A secret is what stands by reference, what a key names that sounds like one (password, token, key, ...) in a plugin's
configuration or a header, and what looks like one: a private key, a signed token, an address with a password.`,
		Example: `weft config print -c weft.yaml
weft config print -c weft.yaml --origins            # beside each value: default, file:line, variable or --set
weft config print -c weft.yaml --given              # without the defaults
weft config print -c weft.yaml --origins --json     # a list of keys with values and origins`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load(sys)
			if err != nil {
				return err
			}
			if asJSON {
				return cfg.WriteJSON(cmd.OutOrStdout(), p)
			}
			if err := printHead(cmd.OutOrStdout(), cfg); err != nil {
				return err
			}
			return cfg.WriteYAML(cmd.OutOrStdout(), p)
		},
	}
	cmd.Flags().SortFlags = false
	s.flags(cmd, sys)
	cmd.Flags().BoolVar(&p.Origins, "origins", false, "say beside each value where it comes from")
	cmd.Flags().BoolVar(&p.Given, "given", false, "leave out what is a default")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printHead says what was printed.
func printHead(w io.Writer, cfg *config.Config) error {
	_, err := fmt.Fprintf(w, "# What holds of %s; paths are relative to its folder.\n", fileOf(cfg))
	return err
}

func configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Prints the JSON Schema of the configuration file",
		Long: `Prints the JSON Schema (draft 2020-12) of the configuration file: every key with its meaning, type, default and bounds.
Editors complete keys by it and mark what is wrong. One that speaks to yaml-language-server takes it from a line in the file:

  # yaml-language-server: $schema=./weft.schema.json

and one that edits JSON from the key "$schema", which weft does not look at. The schema of the newest weft is at
` + config.SchemaID + `.`,
		Example: `weft config schema >weft.schema.json`,
		Args:    arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(configs.Schema)
			return err
		},
	}
}
