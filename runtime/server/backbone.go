package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/config"
)

// openBackbone opens what the configuration needs of it; nil if it needs none.
func (s *Server) openBackbone(ctx context.Context, patience time.Duration) error {
	s.node = nodeName(&s.cfg.Backbone)
	if !s.cfg.NeedsBackbone() {
		return nil
	}
	o, err := backboneOptions(s.cfg)
	if err != nil {
		return err
	}
	o.Logger, o.Patience = s.log, patience
	s.backbone, err = backbone.Open(ctx, o)
	return err
}

// errNoFolder: there is no way to find out where to keep things.
var errNoFolder = errors.New("backbone.data: there is no folder to keep things in: set it, or $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME")

// backboneOptions are what a configuration says, without the logger.
func backboneOptions(cfg *config.Config) (backbone.Options, error) {
	c := &cfg.Backbone
	at := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(cfg.Folder(), path)
	}
	o := backbone.Options{
		URLs: c.URL, Node: nodeName(c), Dir: at(c.Folder()), Size: int64(c.Size), Prefix: c.Prefix, Replicas: c.Replicas, Forward: int64(c.Forward), StartWithin: c.StartWithin.Std(),
		Access: backbone.Access{Credentials: at(c.Credentials), NKey: at(c.NKey), User: c.User, PasswordFile: at(c.PasswordFile), TokenFile: at(c.TokenFile), Password: c.Password, Token: c.Token},
	}
	if o.Dir == "" {
		return o, errNoFolder
	}
	if c.Sync == config.SyncInterval {
		o.SyncEvery = c.SyncEvery.Std()
	}
	if t := c.TLS; t != nil {
		o.Access.TLS, o.Access.CA, o.Access.Cert, o.Access.Key, o.Access.ServerName = true, at(t.CA), at(t.Cert), at(t.Key), t.ServerName
	}
	return o, nil
}

// nodeName is what this weft is called among others.
func nodeName(c *config.Backbone) string {
	if c.Name != "" {
		return c.Name
	}
	host, err := os.Hostname()
	if host, _, _ = strings.Cut(host, "."); err != nil || host == "" {
		return "weft"
	}
	return host
}

// CheckBackbone tells where a configuration keeps things and whether it can, and for a
// cluster whether what it is shown can be read. It leaves nothing; an empty folder if nothing needs one. External servers
// are not asked.
func CheckBackbone(cfg *config.Config) (folder string, err error) {
	if !cfg.NeedsBackbone() {
		return "", nil
	}
	o, err := backboneOptions(cfg)
	if err != nil {
		return "backbone", err
	}
	if err = backbone.CheckFolder(o.Dir); len(o.URLs) > 0 {
		err = errors.Join(o.Access.Check(), err)
	}
	return o.Dir, err
}

// spine is the backbone as the API shows it.
type spine struct{ server *Server }

// Status asks the backbone.
func (s spine) Status(ctx context.Context) (backbone.Status, bool, error) {
	if s.server.backbone == nil {
		return backbone.Status{}, false, nil
	}
	status, err := s.server.backbone.Status(ctx)
	return status, true, err
}

// backboneMetrics show what is known without asking.
func (s *Server) backboneMetrics() []admin.Metric {
	if s.backbone == nil {
		return nil
	}
	status := s.backbone.Snapshot()
	state := &status.State
	flag := func(on bool) uint64 {
		if on {
			return 1
		}
		return 0
	}
	limit := newFamily("weft_backbone_store_limit_bytes", "Bytes that the backbone may store; not known of every external one.", admin.Gauge)
	if status.Limit >= 0 {
		limit.add(uint64(status.Limit))
	}
	free := newFamily("weft_backbone_free_bytes", "Bytes that the disk of the data folder has left; not known of an external backbone.", admin.Gauge)
	if status.Free >= 0 {
		free.add(uint64(status.Free))
	}
	return []admin.Metric{
		single("weft_backbone_connected", "1 while the backbone is connected.", admin.Gauge, flag(state.Connected)),
		single("weft_backbone_faulty", "1 while the backbone is away or cannot store: weft backbone says why.", admin.Gauge, flag(state.Fault != "")),
		single("weft_backbone_reconnects_total", "Times that the connection to the backbone was made again.", admin.Counter, state.Reconnects),
		single("weft_backbone_errors_total", "Errors of the backbone outside of any call, such as messages that this node was too slow for.", admin.Counter, state.Errors),
		seconds("weft_backbone_rtt_seconds", "How long a question to an external backbone took; 0 with one in this process.", state.RTT),
		seconds("weft_backbone_fsync_p99_seconds", "How long 4 KiB took to reach the disk of the data folder, at start.", status.Disk.P99),
		single("weft_backbone_store_bytes", "Bytes that the backbone stores.", admin.Gauge, uint64(status.Used)),
		single("weft_backbone_reserved_bytes", "Bytes that are set aside for logs and buckets with a size.", admin.Gauge, uint64(max(status.Reserved, 0))),
		single("weft_backbone_memory_bytes", "Bytes that the backbone keeps in memory.", admin.Gauge, uint64(status.Memory)),
		single("weft_backbone_streams", "Streams of the backbone: logs and buckets.", admin.Gauge, uint64(status.Streams)),
		single("weft_backbone_consumers", "Consumers of those streams.", admin.Gauge, uint64(status.Consumers)),
		single("weft_log_unrouted_entries", "Entries, when weft started, of logs that have no durable route in its configuration: nobody delivers them from here.", admin.Gauge, s.unrouted),
		limit.Metric, free.Metric,
	}
}

func seconds(name, help string, d time.Duration) admin.Metric {
	return admin.Metric{Name: name, Help: help, Type: admin.Gauge, Samples: []admin.Sample{{Value: d.Seconds()}}}
}
