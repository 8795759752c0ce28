package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
)

// release is set when a release is built: -ldflags "-X main.release=v1.2.3".
var release string

// versions is what --json prints.
type versions struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	// Time is when the commit was made, as RFC 3339 has it; "unknown" as Commit is.
	Time   string `json:"time"`
	ABI    string `json:"abi"`
	Go     string `json:"go"`
	System string `json:"system"`
}

func versionCommand(system) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Prints the versions of weft, of its plugin ABI, and of Go",
		Example: "weft version\nweft version --json",
		Args:    arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := currentVersions()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "weft %s (commit %s of %s)\nplugin ABI %s\n%s %s\n", v.Version, v.Commit, v.Time, v.ABI, v.Go, v.System)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func currentVersions() versions {
	v := versions{
		Version: "development", Commit: "unknown", Time: "unknown", ABI: abi.Current.String(),
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	if release != "" {
		v.Version = release
	}
	if !ok {
		return v
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified {
		v.Commit += ", modified"
	}
	return v
}
