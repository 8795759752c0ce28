package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/cases"
	"github.com/weftrun/weft/plugins/meter"
	"github.com/weftrun/weft/plugins/module"
	"github.com/weftrun/weft/plugins/sign"
)

// inspection is everything that a module shows about itself; --json prints it.
type inspection struct {
	File        string         `json:"file"`
	Name        string         `json:"name,omitempty"`
	Version     string         `json:"version,omitempty"`
	Description string         `json:"description,omitempty"`
	ABI         string         `json:"abi"`
	SHA256      string         `json:"sha256"`
	Size        int            `json:"size"`
	Sections    map[string]int `json:"sections"`
	Hooks       []string       `json:"hooks"`
	Snapshot    bool           `json:"snapshot"`
	// MemoryBegins and MemoryMost are bytes; 0 is no bound of the module's own.
	MemoryBegins int64        `json:"memory_begins"`
	MemoryMost   int64        `json:"memory_most,omitempty"`
	Capabilities []capability `json:"capabilities"`
	// SignedBy are the ids of the keys that claim to have signed it.
	SignedBy []string       `json:"signed_by"`
	Metering meteringReport `json:"metering"`
	Fuel     *fuelReport    `json:"fuel,omitempty"`
}

// capability is what a module asks for.
type capability struct {
	Name string `json:"name"`
	// Functions are the host functions that it imports, none for a capability
	// without.
	Functions []string `json:"functions,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Optional  bool     `json:"optional,omitempty"`
	// Grant is a line of configuration that grants it.
	Grant string `json:"grant"`
}

// meteringReport is what the metering found and made.
type meteringReport struct {
	Functions int `json:"functions"`
	Loops     int `json:"loops"`
	Checks    int `json:"checks"`
	Debits    int `json:"debits"`
	Size      int `json:"size"`
	Recursive int `json:"recursive_functions"`
}

// fuelReport is what messages of a sample have cost, each by itself.
type fuelReport struct {
	Messages int    `json:"messages"`
	Least    uint64 `json:"least"`
	Median   uint64 `json:"median"`
	P99      uint64 `json:"p99"`
	Most     uint64 `json:"most"`
	Failed   int    `json:"failed"` // the plugin trapped, or broke the contract
	// Budget is what CPU, the plugin's budget of a message, is in fuel.
	CPU            string  `json:"cpu"`
	Budget         uint64  `json:"budget"`
	PerMicrosecond float64 `json:"per_microsecond"`
}

func pluginInspectCommand(sys system) *cobra.Command {
	var with setup
	var from string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Shows what a module is, asks for and costs",
		Long: `Shows what a module says about itself, what it asks for with the lines of configuration that grant it, its memory, what the
metering found in it, and with --sample what its messages cost in fuel. Nothing of the module runs without --sample.`,
		Example: `weft plugin inspect limiter.wasm
weft plugin inspect std:jwt-auth              # one that ships with weft
weft plugin inspect limiter.wasm --sample limiter/cases
weft plugin inspect limiter.wasm --sample traffic.jsonl -c weft.yaml
weft plugin inspect limiter.wasm --json`,
		Args: arguments(1, 1, "the file of one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			report, err := inspect(args[0], wasm)
			if err != nil {
				return fail(exitConfig, fmt.Errorf("%s: %w", args[0], err), "")
			}
			if from != "" {
				if report.Fuel, err = measureFuel(cmd.Context(), sys, args[0], wasm, from, &with); err != nil {
					return err
				}
			} else if with.given() {
				return usageError("-c, --plugin and --plugin-config say how to run a module: that takes a --sample")
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			return report.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&from, "sample", "", "case files (`PATH` of a folder or file) or a recording: measure the fuel of their messages")
	with.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// inspect reads a module without running it.
func inspect(file string, wasm []byte) (*inspection, error) {
	d, err := plugins.Describe(wasm)
	if err != nil {
		return nil, err
	}
	_, metered, err := meter.Rewrite(wasm, meter.Options{})
	if err != nil {
		return nil, err
	}
	m, err := module.Parse(wasm)
	if err != nil {
		return nil, err
	}
	signers, err := sign.Signers(wasm)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(wasm)
	report := &inspection{
		File: file, Name: d.Manifest.Name, Version: d.Manifest.Version, Description: d.Manifest.Description,
		ABI: d.Version.String(), SHA256: hex.EncodeToString(sum[:]), Size: len(wasm), Sections: map[string]int{},
		Snapshot: d.Snapshot, MemoryBegins: d.MinMemory, MemoryMost: d.MaxMemory, Capabilities: []capability{}, SignedBy: append([]string{}, signers...),
		Metering: meteringReport{metered.Functions, metered.Loops, metered.Checks, metered.Debits, metered.Bytes, metered.Counted},
	}
	for _, h := range d.Hooks {
		report.Hooks = append(report.Hooks, h.String())
	}
	for _, s := range m.Sections {
		report.Sections[sectionKind(s.ID)] += s.End - s.Start
	}
	for _, c := range capabilitiesOf(&d) {
		report.Capabilities = append(report.Capabilities, describeCapability(c, &d))
	}
	return report, nil
}

func sectionKind(id byte) string {
	switch id {
	case module.SectionCode:
		return "code"
	case module.SectionData:
		return "data"
	case module.SectionCustom:
		return "custom"
	}
	return "other"
}

func describeCapability(c abi.Capability, d *plugins.Description) capability {
	functions := []string{}
	for _, name := range d.Imports[c] {
		functions = append(functions, name[strings.IndexByte(name, '.')+1:]) // the module says nothing more
	}
	slices.Sort(functions)
	asked := d.Manifest.Capabilities[c]
	return capability{string(c), functions, asked.Reason, asked.Optional, hostfuncs.Example(c)}
}

// measureFuel runs the messages of a sample one by one.
func measureFuel(ctx context.Context, sys system, file string, wasm []byte, from string, with *setup) (report *fuelReport, err error) {
	s, err := readSample(from)
	if err != nil {
		return nil, err
	}
	spec, err := with.spec(sys, file, wasm)
	if err != nil {
		return nil, err
	}
	s.configure(&spec, with)
	t, err := newTrial(ctx, spec, s.listeners, plugins.EnvConfig{FuelPerMicrosecond: cases.FuelPerMicrosecond})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	spent := make([]uint64, 0, len(s.messages))
	report = &fuelReport{Messages: len(s.messages), PerMicrosecond: cases.FuelPerMicrosecond}
	report.CPU = t.plugin.Spec().CPU.Round(time.Microsecond).String()
	report.Budget = uint64(float64(t.plugin.Spec().CPU.Nanoseconds()) / 1000 * report.PerMicrosecond)
	contexts := map[uint64]abi.Attributes{}
	for _, m := range s.messages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if known, ok := contexts[m.Session]; ok && s.with != nil && len(m.Context) == 0 {
			m.Context = known
		}
		if m.Time != 0 {
			t.clock.set(m.Time)
		}
		fuel, o := t.one(m)
		spent = append(spent, fuel)
		if o.Cause != plugins.CauseNone && o.Cause != plugins.CausePlugin {
			report.Failed++
		}
		for _, c := range t.batch.Contexts {
			contexts[c.Session] = slices.Clone(c.Context)
		}
	}
	slices.Sort(spent)
	at := func(q float64) uint64 { return spent[int(q*float64(len(spent)-1)+0.5)] }
	report.Least, report.Median, report.P99, report.Most = spent[0], at(0.5), at(0.99), spent[len(spent)-1]
	return report, nil
}
