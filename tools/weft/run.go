package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/life"
	"github.com/weftrun/weft/runtime/logging"
	"github.com/weftrun/weft/runtime/server"
)

// service is the name under which weft logs.
const service = "weft"

// sparePlace lets one more goroutine run than there are processors, unless the
// environment says how many. A plugin's new generation is compiled on a thread that
// gives way to the loops; while it does, it keeps its place in Go's scheduler, and
// without a spare one a loop would wait for that place and not for a processor.
func sparePlace() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

func runCommand(sys system) *cobra.Command {
	var s source
	var driver, cache string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs weft until it is told to stop",
		Long: `Runs weft until SIGTERM or Ctrl-C, then drains: nothing new is accepted, what was accepted is delivered.
A second signal ends at once: weft says what was lost, and the exit code is not 0.

With -c, SIGHUP reads the configuration again, and so does a change of its file (watch: false turns that off). What it
says about plugins takes effect without a restart; the log names what else has changed.

With an address in the place of a file the configuration comes from a key-value bucket of NATS, from Consul or from etcd;
when it changes there, it is read again. Paths in it are relative to the folder in which weft was started. Behind ? stand
files with what the store asks for: credentials, nkey, password_file, token_file, ca, cert, key; the user stands before @.

  nats://HOST:4222/BUCKET/KEY    consul://HOST:8500/KEY    etcd://HOST:2379/KEY    (nats+tls:// and so on by TLS)

Without -c it runs a built-in example on the loopback interface: trucks, a person with netcat, alarms.`,
		Example: `weft run                                  # the built-in example
weft run -c weft.yaml                     # a configuration of your own
weft run -c weft.yaml --cache /var/cache/weft        # the next start need not compile the plugins
weft run --set api.address=127.0.0.1:0    # one key overridden
weft run -c nats://10.0.0.1:4222/weft/weft.yaml      # the configuration that several nodes have in common
weft run --example >weft.yaml             # the built-in example, to begin a file of your own with`,
		Args: arguments(0, 0, "no argument"),
	}
	example := false
	cmd.Flags().SortFlags = false
	s.flags(cmd, sys)
	cmd.Flags().StringVar(&driver, "driver", "auto", "how sockets are served: auto, epoll (Linux) or net (portable)")
	cmd.Flags().StringVar(&cache, "cache", "", "keep compiled plugins in this `FOLDER`, to which nobody else may write; it may be emptied at any time")
	cmd.Flags().StringVar(&s.distant.folder, "config-copy", copyFolder(), "with an address: keep the last good configuration in this `FOLDER`, to start with while nobody answers")
	cmd.Flags().Lookup("config-copy").DefValue = "~/.local/state/weft-config" // in words that are the same for everybody
	cmd.Flags().BoolVar(&example, "example", false, "print the built-in example's configuration and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if example {
			return printExample(cmd.OutOrStdout())
		}
		if err := oneOf("driver", driver, "auto", "epoll", "net"); err != nil {
			return err
		}
		s.distant.copies = true
		return s.serve(cmd, sys, driver, cache)
	}
	return cmd
}

// serve runs the configuration until the command's context ends.
func (s *source) serve(cmd *cobra.Command, sys system, driver, cache string) error {
	if err := ownFolder(cache); err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	if !s.example() { // one that comes as weft begins waits until it runs
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}
	cfg, err := s.load(sys)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	log, err := logging.NewFollowing(cmd.ErrOrStderr(), service, cfg.Log.Level, cfg.Log.Format, level)
	if err != nil {
		return fail(exitConfig, err, "")
	}
	if cfg.Blank() {
		log.Warn("nothing stands in the configuration's file: weft listens nowhere but for its API", "file", fileOf(cfg))
	}
	o := server.Options{Config: cfg, Logger: log, Level: level, Version: currentVersions().Version, Driver: driver, CacheDir: cache, Compiler: sys.compiler}
	if !s.example() {
		o.Reload = func(ctx context.Context) (*config.Config, error) { return s.read(ctx, sys) }
	}
	manager, err := newManager(sys, log)
	if err != nil {
		return fail(exitRuntime, err, "")
	}
	defer func() { _ = manager.Close() }()
	o.Sockets = manager.sockets
	srv, err := server.New(cmd.Context(), o)
	switch {
	case errors.Is(err, engine.ErrAddressInUse):
		return fail(exitRuntime, err, "")
	case err != nil:
		return fail(exitConfig, err, "weft check groups what is wrong and tells how to mend it.")
	}
	sparePlace()
	defer hurryOnSecond(sys.signals.again(), srv, log)()
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(cmd.Context()) }()
	if err := awaitRunning(srv.State, ended); err != nil {
		return fail(exitRuntime, err, "")
	}
	manager.runs(srv)
	defer s.distant.follow(cmd.Context(), srv, log)()
	if o.Reload != nil {
		defer reloadOnHangup(cmd.Context(), hangups, srv, manager)()
	}
	defer manager.watch(cmd.Context(), srv)()
	if err := s.banner(cmd.OutOrStdout(), sys, srv, cfg); err != nil {
		return errors.Join(err, <-ended)
	}
	return <-ended
}

// ownFolder makes the cache's folder. What lies in it is run as machine code, outside
// of any sandbox, so nobody else may write to it.
func ownFolder(path string) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fail(exitConfig, fmt.Errorf("--cache: %w", err), "")
	}
	info, err := os.Stat(path)
	if err != nil {
		return fail(exitConfig, fmt.Errorf("--cache: %w", err), "")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fail(exitConfig, fmt.Errorf("--cache: others may write to %s, whose content is run", path), "chmod go-w "+path+", once it is empty.")
	}
	return nil
}

// reloadOnHangup reads the configuration again whenever SIGHUP comes, until the
// function that it returns is called.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, srv *server.Server, manager *manager) (stop func()) {
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-hangups:
				manager.reloading()
				manager.reloaded(srv.Reload(ctx)) // the server logs what is wrong
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		reading.Wait()
	}
}

// awaitRunning waits until the server accepts, or has ended; the error is why it has failed
// instead. What has failed is closed before that is told.
func awaitRunning(state func() life.State, ended chan error) error {
	for state() == life.Initializing {
		select {
		case err := <-ended:
			ended <- err // for who waits for the end: without an error it has run, and was asked to stop
			return err
		case <-time.After(time.Millisecond):
		}
	}
	if state() == life.Failed {
		return <-ended
	}
	return nil
}

// banner prints the addresses, and for the built-in example what to paste.
func (s *source) banner(w io.Writer, sys system, srv *server.Server, cfg *config.Config) error {
	var b strings.Builder
	fmt.Fprintf(&b, "weft runs %s\n\n", fileOf(cfg))
	for _, a := range srv.Addresses() {
		fmt.Fprintf(&b, "  %-10s %-22s %s\n", a.Name, a.Addr, a.Protocol)
	}
	if s.example() {
		if err := story(&b, sys, srv, cfg); err != nil {
			return err
		}
	}
	b.WriteString("\nCtrl-C drains and ends.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// story tells how to try the built-in example.
func story(b *strings.Builder, sys system, srv *server.Server, cfg *config.Config) error {
	key, err := keyOf(cfg)
	if err != nil {
		return err
	}
	token, err := mint(key, "truck-7", nil, 24*time.Hour)
	if err != nil {
		return err
	}
	at := map[string]string{}
	for _, a := range srv.Addresses() {
		at[a.Name] = a.Addr.String()
	}
	weft := sys.program
	api := ""
	if at["api"] != config.Default().API.Address {
		api = " --api " + at["api"]
	}
	host, port, _ := strings.Cut(at["lines"], ":")
	fmt.Fprintf(b, `
Paste these into other terminals. The first one watches alarms; the second one is a truck that has become too warm, as a
line of text; the third one publishes over HTTP.

  %s subscribe 'alarm/#'%s
  echo '{"truck":"12","temp":9.5}' | nc -N %s %s
  curl -s -H 'Content-Type: application/json' -d '{"topic":"alarm/office","text":"hello"}' http://%s/weft.v1.Messages/Publish

Trucks that speak binary frames show a token first. The demonstration's key is %q; this token is good for 24 hours:

  %s send --to %s --frame mcp-seq --preface '%s' --wait 0 '{"temp":9.5}'
`, weft, api, host, port, at["api"], key, weft, at["trucks"], token)
	return nil
}

func printExample(w io.Writer) error {
	_, err := w.Write(exampleConfig())
	return err
}
