package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// profileKinds are the words for kinds of profiles, and whether they take a while.
var profileKinds = []struct {
	word  string
	kind  weftv1.ProfileKind
	takes bool
}{
	{"cpu", weftv1.ProfileKind_PROFILE_KIND_CPU, true},
	{"heap", weftv1.ProfileKind_PROFILE_KIND_HEAP, false},
	{"allocs", weftv1.ProfileKind_PROFILE_KIND_ALLOCS, false},
	{"goroutine", weftv1.ProfileKind_PROFILE_KIND_GOROUTINE, false},
	{"mutex", weftv1.ProfileKind_PROFILE_KIND_MUTEX, true},
	{"block", weftv1.ProfileKind_PROFILE_KIND_BLOCK, true},
}

func profileCommand(sys system) *cobra.Command {
	var a api
	var out string
	var asJSON bool
	during := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "profile KIND",
		Short: "Takes a profile of a running weft, for go tool pprof",
		Long: `Takes a profile of a running weft and writes it to a file, which go tool pprof reads. The caller must be an operator.

KIND is cpu (where the time goes), heap (what memory is in use), allocs (what memory was asked for), goroutine (what every
goroutine does), mutex (what is waited for with locks) or block (what is waited for at all). cpu, mutex and block take as long
as --for says. One is taken at a time. What plugins do is one line in it: weft plugin list and the metrics tell them apart.`,
		Example: `weft profile cpu --for 30s --out cpu.pprof
weft profile heap && go tool pprof -top heap.pprof`,
		Args: arguments(1, 1, "the kind of profile: cpu, heap, allocs, goroutine, mutex or block"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := &weftv1.ProfilesTakeRequest{}
		timeout := 30 * time.Second
		for _, k := range profileKinds {
			if k.word == args[0] {
				r.Kind = k.kind
				if k.takes {
					r.Duration = durationpb.New(during)
					timeout += during
				} else if cmd.Flags().Changed("for") {
					return usageError("--for has no effect on %s, which shows a moment", k.word)
				}
			}
		}
		if r.Kind == weftv1.ProfileKind_PROFILE_KIND_UNSPECIFIED {
			var words []string
			for _, k := range profileKinds {
				words = append(words, k.word)
			}
			return usageError("%.40q is no kind of profile: expected one of %s", args[0], strings.Join(words, ", "))
		}
		if out == "" {
			out = args[0] + ".pprof"
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		answer, err := weftv1connect.NewProfilesClient(a.http(), a.url()).Take(ctx, connect.NewRequest(r))
		if err != nil {
			return a.failed(err)
		}
		if err := writeProfile(out, answer.Msg.GetProfile()); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
				Kind  string `json:"kind"`
				File  string `json:"file"`
				Bytes int    `json:"bytes"`
			}{args[0], out, len(answer.Msg.GetProfile())})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\nlook at it: go tool pprof -top %s\n", out, len(answer.Msg.GetProfile()), out)
		return err
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVarP(&out, "out", "o", "", "`FILE` to write, which must not be there yet (default KIND.pprof)")
	cmd.Flags().DurationVar(&during, "for", during, "how long to look, 1m at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	a.flags(cmd, sys)
	return cmd
}

// writeProfile writes a file that is not there yet.
func writeProfile(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: name another file with --out", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
