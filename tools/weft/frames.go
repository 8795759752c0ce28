package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi/spelling"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
)

// frameInfo is what --json prints for each format.
type frameInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Limit       int    `json:"limit_bytes"`
	Text        bool   `json:"text"`
	SeqBits     int    `json:"seq_bits"`
}

func framesCommand(system) *cobra.Command {
	var asJSON, declaration bool
	cmd := &cobra.Command{
		Use:   "frames [NAME]",
		Short: "Lists the frame formats, or shows one field by field",
		Long: `Lists the frame formats, or shows one field by field.

A listener's frame may also be mqtt or mcp-dgram: these are protocols of their own, with more to them than a format.`,
		Example: `weft frames
weft frames mcp-seq
weft frames mcp-seq --declaration >>weft.yaml    # a start for one of your own`,
		Args:              arguments(0, 1, "at most the name of one frame format"),
		ValidArgsFunction: cobra.FixedCompletions(frame.Presets(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && declaration:
				return usageError("--declaration needs the name of a frame format")
			case asJSON && declaration:
				return usageError("--json and --declaration exclude each other")
			case len(args) == 0:
				return listFrames(cmd, asJSON)
			}
			return showFrame(cmd, args[0], asJSON, declaration)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, a format a line")
	cmd.Flags().BoolVar(&declaration, "declaration", false, "print the declaration (YAML)")
	return cmd
}

func describe(f *frame.Format) frameInfo {
	return frameInfo{f.Name(), f.Description(), f.Limit(), f.Text(), f.SeqBits()}
}

func listFrames(cmd *cobra.Command, asJSON bool) error {
	var list []frameInfo
	for _, name := range frame.Presets() {
		f, _ := frame.Preset(name)
		list = append(list, describe(f))
	}
	if asJSON {
		return printLines(cmd.OutOrStdout(), list, asIs)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, f := range list {
		fmt.Fprintf(t, "%s\t%s\n", f.Name, f.Description)
	}
	return t.Flush()
}

func showFrame(cmd *cobra.Command, name string, asJSON, declaration bool) error {
	f, err := preset(name)
	if err != nil {
		return err
	}
	switch {
	case asJSON:
		return json.NewEncoder(cmd.OutOrStdout()).Encode(describe(f))
	case declaration:
		doc, ok := frame.PresetSource(name)
		if !ok {
			return usageError("%s has no declaration: its frames end where their function codes say, which no declaration can tell", name)
		}
		_, err = cmd.OutOrStdout().Write(doc)
	default:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(f.Describe(), "\n"))
	}
	return err
}

// preset is a format that ships with weft.
func preset(name string) (*frame.Format, error) {
	if f, ok := frame.Preset(name); ok {
		return f, nil
	}
	switch name {
	case config.FrameMQTT:
		return nil, usageError("mqtt is a protocol of its own, not a frame format: mosquitto_pub and mosquitto_sub speak it")
	case frameDatagram:
		return nil, usageError("mcp-dgram is a protocol of its own, not a frame format: weft send and weft bench speak it")
	}
	if best := spelling.Nearest(name, frame.Presets()); best != "" {
		return nil, usageError("unknown frame format %q: did you mean %s?", name, best)
	}
	return nil, usageError("unknown frame format %q: expected one of %s, or --declaration FILE", name, strings.Join(frame.Presets(), ", "))
}

// wire is the choice of a frame format on a command line.
type wire struct{ name, declaration string }

func (w *wire) flags(cmd *cobra.Command, fallback string) {
	cmd.Flags().StringVarP(&w.name, "frame", "f", fallback, "frame `FORMAT` (weft frames lists them; mcp-dgram is reliable datagrams over UDP)")
	cmd.Flags().StringVar(&w.declaration, "declaration", "", "`FILE` with a frame declaration of your own (YAML), instead of --frame")
	_ = cmd.RegisterFlagCompletionFunc("frame", cobra.FixedCompletions(append(frame.Presets(), frameDatagram), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("frame", "declaration")
}

func (w *wire) format() (*frame.Format, error) {
	if w.declaration == "" {
		return preset(w.name)
	}
	doc, err := os.ReadFile(w.declaration)
	if err != nil {
		return nil, fail(exitConfig, fmt.Errorf("reading the declaration: %w", err), "")
	}
	f, err := frame.Parse(w.declaration, doc)
	if err != nil {
		return nil, fail(exitConfig, err, "")
	}
	return f, nil
}
