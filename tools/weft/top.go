package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// topConnections is how many connections weft top shows at most.
const topConnections = 20

// errEnded: the stream is over, and nobody says why.
var errEnded = errors.New("weft has ended")

type topping struct {
	asking
	sys      system
	once     bool
	plain    bool
	interval time.Duration
	sort     string
	order    string
}

func topCommand(sys system) *cobra.Command {
	t := topping{sys: sys}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Shows in the terminal what weft does: how well, how much, which plugin costs what",
		Long: `Shows in the terminal what a running weft does: whether all is well, how much passes, what is lost, how long messages take,
how full it is; then the plugins, the dearest first, listeners, destinations and connections. It renews itself.

Keys: q ends. Plugins by c cost, r rate, p p99, f fuel, d drops, n name. o orders connections otherwise. Space holds still.

A script says --once, and --json for what it can read.`,
		Example: `weft top
weft top --interval 250ms --sort rate
weft top --once
weft top --once --json | jq '.snapshot.verdict'`,
		Args: arguments(0, 0, "no argument"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return t.run(cmd) }
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&t.once, "once", false, "look once, print it, and end")
	f.DurationVar(&t.interval, "interval", time.Second, "how often it renews itself, 250ms to 1m")
	f.StringVar(&t.sort, "sort", "cost", "what plugins are ordered by: "+strings.Join(topSorts, ", "))
	f.StringVar(&t.order, "order", "queued", "what connections are ordered by: "+strings.Join(topOrders, ", "))
	f.BoolVar(&t.plain, "no-color", false, "no colours (also NO_COLOR)")
	t.flags(cmd, sys, "; with --once")
	return cmd
}

// topOrders are the orders of connections, as o goes through them.
var topOrders = []string{"queued", "bytes-in", "bytes-out", "silent", "newest", "oldest"}

func (t *topping) run(cmd *cobra.Command) error {
	switch {
	case !slices.Contains(topSorts, t.sort):
		return usageError("--sort %s: expected one of %s", t.sort, strings.Join(topSorts, ", "))
	case !slices.Contains(topOrders, t.order):
		return usageError("--order %s: expected one of %s", t.order, strings.Join(topOrders, ", "))
	case t.json && !t.once:
		return usageError("--json is for --once: a terminal shows no JSON")
	case t.interval < 250*time.Millisecond || t.interval > time.Minute:
		return usageError("--interval %s: expected 250ms to 1m", t.interval)
	}
	if t.once {
		return t.look(cmd)
	}
	out, isFile := t.sys.stdout.(*os.File)
	in, fromFile := t.sys.stdin.(*os.File)
	if !isFile || !fromFile || !isTerminal(out) || !isTerminal(in) || t.sys.getenv("TERM") == "dumb" {
		return fail(exitUsage, errors.New("this is no terminal that weft top could draw in"), "Say --once, and --json for a script.")
	}
	return t.live(cmd.Context(), in, out)
}

// look looks once.
func (t *topping) look(cmd *cobra.Command) error {
	ctx, cancel := t.context(cmd)
	defer cancel()
	r, err := weftv1connect.NewOverviewClient(t.http(), t.url()).Get(ctx, connect.NewRequest(&weftv1.OverviewGetRequest{}))
	if err != nil {
		return t.failed(err)
	}
	list, err := t.list(ctx, t.order)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if t.json {
		return printTop(w, r.Msg.GetSnapshot(), list)
	}
	v := topView{snapshot: r.Msg.GetSnapshot(), connections: list, sort: t.sort, order: t.order}
	_, err = io.WriteString(w, strings.Join(v.lines(), "\n")+"\n")
	return err
}

// list is the connections that come first.
func (t *topping) list(ctx context.Context, order string) (*weftv1.ConnectionsListResponse, error) {
	r, err := t.connections().List(ctx, connect.NewRequest(&weftv1.ConnectionsListRequest{Order: connectionOrders[order], Size: topConnections}))
	if err != nil {
		return nil, t.failed(err)
	}
	return r.Msg, nil
}

// The sequences that a terminal understands (ECMA-48, and xterm's alternate screen).
const (
	screenEnter = "\x1b[?1049h\x1b[?25l\x1b[2J"
	screenLeave = "\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineEnd     = "\x1b[K\r\n"
	screenEnd   = "\x1b[J"
)

// live draws until somebody ends it. The terminal is as it was afterwards, whatever
// happens.
func (t *topping) live(ctx context.Context, in, out *os.File) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := weftv1connect.NewOverviewClient(t.http(), t.url()).Watch(ctx, connect.NewRequest(&weftv1.OverviewWatchRequest{Interval: durationpb.New(t.interval)}))
	if err != nil {
		return t.failed(err)
	}
	defer func() { _ = stream.Close() }()
	if !stream.Receive() { // before anything is drawn
		return t.failed(cmp.Or(stream.Err(), errEnded))
	}
	first := stream.Msg().GetSnapshot()
	former, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("the terminal: %w", err)
	}
	defer func() {
		_, wrong := io.WriteString(out, screenLeave)
		err = errors.Join(err, wrong, term.Restore(int(in.Fd()), former))
	}()
	if _, err := io.WriteString(out, screenEnter); err != nil {
		return err
	}
	shown, ended := make(chan *weftv1.Snapshot), make(chan error, 1)
	go func() { // ends with ctx
		for next := first; ; next = stream.Msg().GetSnapshot() {
			select {
			case shown <- next:
			case <-ctx.Done():
				return
			}
			if !stream.Receive() {
				ended <- cmp.Or(stream.Err(), errEnded)
				return
			}
		}
	}()
	keys := make(chan byte)
	go func() { // ends with the process at the latest: a terminal cannot be read with an end
		one := make([]byte, 1)
		for {
			if n, err := in.Read(one); err != nil || n == 0 {
				return
			}
			select {
			case keys <- one[0]:
			case <-ctx.Done():
				return
			}
		}
	}()
	return t.draw(ctx, out, shown, ended, keys)
}

// draw shows what comes until a key ends it.
func (t *topping) draw(ctx context.Context, out *os.File, shown <-chan *weftv1.Snapshot, ended <-chan error, keys <-chan byte) error {
	v := topView{sort: t.sort, order: t.order, colour: !t.plain && t.sys.getenv("NO_COLOR") == ""}
	looked := time.Time{}
	resized, stop := windowChanges()
	defer stop()
	for {
		select {
		case s := <-shown:
			if v.held {
				continue
			}
			v.snapshot = s
			if time.Since(looked) >= min(t.interval, time.Second) {
				looked = time.Now()
				limited, cancel := context.WithTimeout(ctx, t.timeout)
				list, err := t.list(limited, v.order)
				cancel()
				if err != nil {
					return err
				}
				v.connections = list
			}
		case key := <-keys:
			if v.key(key) {
				return nil
			}
			if key == 'o' {
				looked = time.Time{}
			}
		case <-resized:
		case err := <-ended:
			return t.failed(err)
		case <-ctx.Done():
			return nil
		}
		if err := v.paint(out); err != nil {
			return err
		}
	}
}

// paint draws the whole screen anew, without clearing it first: nothing flickers.
func (v *topView) paint(out *os.File) error {
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	v.width = width
	lines := v.lines()
	if len(lines) > height {
		lines = lines[:height]
	}
	_, err = io.WriteString(out, screenHome+strings.Join(lines, lineEnd)+"\x1b[K"+screenEnd)
	return err
}
