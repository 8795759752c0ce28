package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// backboneReport is what weft backbone --json prints.
type backboneReport struct {
	Node        string    `json:"node"`
	Embedded    bool      `json:"embedded"`
	Connected   bool      `json:"connected"`
	Since       time.Time `json:"since"`
	Fault       string    `json:"fault,omitempty"`
	Stale       bool      `json:"stale,omitempty"`
	Server      string    `json:"server"`
	URL         string    `json:"url,omitempty"`
	Cluster     string    `json:"cluster,omitempty"`
	Version     string    `json:"version"`
	RTTMillis   float64   `json:"rtt_ms,omitempty"`
	Reconnects  uint64    `json:"reconnects"`
	Errors      uint64    `json:"errors"`
	Sync        string    `json:"sync"`
	Folder      string    `json:"folder"`
	Filesystem  string    `json:"filesystem,omitempty"`
	Free        int64     `json:"free"`
	FsyncMedian float64   `json:"fsync_median_ms"`
	FsyncP99    float64   `json:"fsync_p99_ms"`
	Used        int64     `json:"used"`
	Limit       int64     `json:"limit"`
	Reserved    int64     `json:"reserved"`
	Memory      int64     `json:"memory"`
	MemoryLimit int64     `json:"memory_limit"`
	Streams     int32     `json:"streams"`
	Consumers   int32     `json:"consumers"`
	Payload     int64     `json:"payload"`
	Time        time.Time `json:"time"`
}

func backboneCommand(sys system) *cobra.Command {
	var a api
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "backbone",
		Short: "Shows the backbone: is it connected, what does it hold, how fast is its disk",
		Long: `Shows the backbone of a running weft: what outlives the process (durable routes, kept sessions), and what connects several weft.

It is a NATS server in weft's own process, or the cluster that backbone.url names. The exit code is 1 if it is away or cannot store.`,
		Example: `weft backbone
weft backbone --json | jq .used`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			r, err := weftv1connect.NewBackboneClient(a.http(), a.url()).Get(ctx, connect.NewRequest(&weftv1.BackboneGetRequest{}))
			if connect.CodeOf(err) == connect.CodeFailedPrecondition {
				return fail(exitRuntime, a.said(err), "It begins with a durable route, kept sessions, backbone.data or backbone.url.")
			}
			if err != nil {
				return a.failed(err)
			}
			report := toReport(r.Msg)
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = report.print(cmd.OutOrStdout())
			}
			if err == nil && (!report.Connected || report.Fault != "") {
				err = &failure{code: exitRuntime, err: errReported}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&asJSON, "json", false, "print JSON; durations are in ms, sizes in bytes")
	f.DurationVar(&timeout, "timeout", 10*time.Second, "give up after this long")
	a.flags(cmd, sys)
	return cmd
}

func toReport(m *weftv1.BackboneGetResponse) *backboneReport {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return &backboneReport{
		Node: m.Node, Embedded: m.Embedded, Connected: m.Connected, Since: asTime(m.Since), Fault: m.Fault, Stale: m.Stale,
		Server: m.Server, URL: m.Url, Cluster: m.Cluster, Version: m.Version, RTTMillis: ms(m.Rtt.AsDuration()), Reconnects: m.Reconnects, Errors: m.Errors,
		Sync: m.Sync, Folder: m.Folder, Filesystem: m.Filesystem, Free: m.Free, FsyncMedian: ms(m.FsyncMedian.AsDuration()), FsyncP99: ms(m.FsyncP99.AsDuration()),
		Used: m.Used, Limit: m.Limit, Reserved: m.Reserved, Memory: m.Memory, MemoryLimit: m.MemoryLimit,
		Streams: m.Streams, Consumers: m.Consumers, Payload: m.Payload, Time: asTime(m.Time),
	}
}

func (r *backboneReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{key}, args...)...)
	}
	state := "connected"
	switch {
	case !r.Connected:
		state = "AWAY"
	case r.Fault != "":
		state = "CANNOT STORE"
	}
	line("state", "%s, for %s", state, time.Since(r.Since).Round(time.Second))
	if r.Fault != "" {
		line("cause", "%s", r.Fault)
	}
	if r.Stale {
		line("as of", "%s, when the servers last answered", r.Time.Local().Format(time.DateTime))
	}
	line("node", "%s", r.Node)
	if r.Embedded {
		line("server", "in this process (nats-server %s)", r.Version)
	} else {
		line("server", "%s at %s (nats-server %s), round trip %.1f ms, %d reconnects", r.Server, r.URL, r.Version, r.RTTMillis, r.Reconnects)
		if r.Cluster != "" {
			line("cluster", "%s", r.Cluster)
		}
	}
	line("sync", "%s", r.Sync)
	line("stored", "%s of %s, %s set aside", bytesText(r.Used), limitText(r.Limit), bytesText(r.Reserved))
	line("in memory", "%s of %s", bytesText(r.Memory), limitText(r.MemoryLimit))
	line("streams", "%d, with %d consumers", r.Streams, r.Consumers)
	disk := r.Filesystem
	if r.Free >= 0 {
		disk += ", " + bytesText(r.Free) + " free"
	}
	line("folder", "%s (%s)", r.Folder, disk)
	line("disk", "a write takes %.1f ms, p99 %.1f ms", r.FsyncMedian, r.FsyncP99)
	if r.Errors > 0 {
		line("errors", "%d", r.Errors)
	}
	return t.Flush()
}

func limitText(n int64) string {
	if n < 0 {
		return "any number"
	}
	return bytesText(n)
}
