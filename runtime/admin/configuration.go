package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// Configuration is the configuration that runs and what became of those that were to
// take its place. The server implements it.
type Configuration interface {
	// ConfigStatus is how the configuration stands.
	ConfigStatus() ConfigStatus
	// ReloadConfig reads the configuration again for who is named in by, as Server.Reload
	// does. The status is what became of it, also where an error says why it was refused.
	ReloadConfig(ctx context.Context, by string) (ConfigStatus, error)
	// Settings are the keys that hold, with where their values came from. Secrets are
	// hidden.
	Settings() []*weftv1.ConfigValue
	// CheckConfig says what is wrong with a text in a format, yaml, toml or json, and, if
	// nothing is, what of it a reload would put into effect and what waits for a restart.
	// The text is taken as the running one was, with its folder, environment and overrides;
	// what these hold is not in the answers.
	CheckConfig(text []byte, format string) (problems, changes, restart []string)
}

// ConfigStatus is how the configuration stands. It holds no values of it, so that
// there are no secrets in it.
type ConfigStatus struct {
	// File is where the configuration came from; empty if from no file.
	File string
	// Sum is the SHA-256 of the file that is in effect, in hexadecimal; empty if there
	// is no file.
	Sum string
	// Since is when the configuration took effect that runs.
	Since time.Time
	// Good tells that what was read last is in effect, as far as it needs no restart, and
	// that its file can still be read.
	Good bool
	// FileFault is why the file cannot be read any more; empty if it can.
	FileFault string
	// SecretFaults are why changed files of tokens, certificates, keys or CAs were refused,
	// one for each whose they are; those before stay in use.
	SecretFaults []string
	// Last is the last time that the configuration was read, the start included.
	Last ConfigReload
	// Restart are the keys that the file has changed since the start and that wait for
	// a restart, such as backbone or listeners.trucks.tls; sorted.
	Restart []string
	// Applied, Unchanged and Refused count what became of reloads.
	Applied, Unchanged, Refused uint64
}

// ConfigReload is one time that the configuration was read.
type ConfigReload struct {
	// At is when it began, Took how long it was until the change was everywhere.
	At   time.Time
	Took time.Duration
	// By is what asked for it: start, file, signal, api, or a name of its own.
	By string
	// Result is applied, unchanged or refused.
	Result string
	// Problems say why it was refused, one a line of the log, each with its place in
	// the file where it has one.
	Problems []string
	// Changed are the keys that were put into effect, such as routes or plugins.auth;
	// sorted.
	Changed []string
}

// The values of ConfigReload.By that the server itself uses, and of Result.
const (
	ByStart  = "start"
	ByFile   = "file"
	BySignal = "signal"
	ByAPI    = "api"

	ReloadApplied   = "applied"
	ReloadUnchanged = "unchanged"
	ReloadRefused   = "refused"
)

// FileGone begins the text about a configuration's file that cannot be read any more.
const FileGone = "the configuration's file cannot be read any more; what it said goes on: "

// maxCheckBytes bounds a text that is checked.
const maxCheckBytes = 1 << 20

// configService serves weft.v1.Config.
type configService struct {
	config Configuration
	logger *slog.Logger
}

// Get is the call of the same name.
func (s *configService) Get(_ context.Context, _ *connect.Request[weftv1.ConfigGetRequest]) (*connect.Response[weftv1.ConfigGetResponse], error) {
	return connect.NewResponse(&weftv1.ConfigGetResponse{Values: s.config.Settings(), Status: showStatus(s.config.ConfigStatus())}), nil
}

// Reload is the call of the same name.
func (s *configService) Reload(ctx context.Context, _ *connect.Request[weftv1.ConfigReloadRequest]) (*connect.Response[weftv1.ConfigReloadResponse], error) {
	status, err := s.config.ReloadConfig(ctx, ByAPI)
	switch {
	case errors.Is(err, ErrDraining), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil, toConnect(ctx, s.logger, err)
	case err != nil:
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%w; the former configuration goes on", err))
	}
	return connect.NewResponse(&weftv1.ConfigReloadResponse{Status: showStatus(status)}), nil
}

// Check is the call of the same name.
func (s *configService) Check(_ context.Context, r *connect.Request[weftv1.ConfigCheckRequest]) (*connect.Response[weftv1.ConfigCheckResponse], error) {
	format := r.Msg.GetFormat()
	switch format {
	case "":
		format = "yaml"
	case "yaml", "toml", "json":
	default:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("format %.20q: expected yaml, toml or json", format))
	}
	if n := len(r.Msg.GetText()); n > maxCheckBytes {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("a text of %d bytes, at most %d are checked", n, maxCheckBytes))
	}
	problems, changes, restart := s.config.CheckConfig([]byte(r.Msg.GetText()), format)
	return connect.NewResponse(&weftv1.ConfigCheckResponse{Problems: validTexts(problems), Changes: validTexts(changes), Restart: validTexts(restart)}), nil
}

func showStatus(s ConfigStatus) *weftv1.ConfigStatus {
	return &weftv1.ConfigStatus{
		File: validText([]byte(s.File)), Sha256: s.Sum, Applied: timestamp(s.Since), Reloaded: timestamp(s.Last.At), Result: s.Last.Result,
		Problems: validTexts(s.Last.Problems), Restart: validTexts(s.Restart), AppliedCount: s.Applied, UnchangedCount: s.Unchanged, RefusedCount: s.Refused,
		By: s.Last.By, Took: durationpb.New(s.Last.Took), Changed: validTexts(s.Last.Changed), Good: s.Good,
		Faults: validTexts(s.faults()),
	}
}

// faults are those beside the last reload's.
func (s *ConfigStatus) faults() []string {
	if s.FileFault == "" {
		return s.SecretFaults
	}
	return append([]string{FileGone + s.FileFault}, s.SecretFaults...)
}

// validTexts are texts as an answer can hold them.
func validTexts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, text := range list {
		out = append(out, validText([]byte(text)))
	}
	return out
}
