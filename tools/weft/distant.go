package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/remote"
	"github.com/weftrun/weft/runtime/server"
)

// byRemote is what asked for a reload when the store had a change.
const byRemote = "remote"

// distant is a configuration that is in a store and not in a file. The zero value is none.
type distant struct {
	folder string // of the copy
	copies bool   // keeps one, and reads it where the store does not answer at the start

	source *remote.Source
	mu     sync.Mutex
	last   remote.Document // that was read
	since  time.Time       // of the copy, while it is what runs
	away   error           // why the copy was read
}

// copyFolder is where copies are by default, beside the backbone's folder.
func copyFolder() string {
	if folder := (&config.Backbone{}).Folder(); folder != "" {
		return filepath.Join(filepath.Dir(folder), "weft-config")
	}
	return ""
}

// fill reads the document into the options.
func (d *distant) fill(ctx context.Context, address string, o *config.Options) error {
	first := d.source == nil
	if first {
		source, err := remote.Parse(address)
		if err != nil {
			return fmt.Errorf("--config: %w", err)
		}
		d.source = source
	}
	doc, err := d.source.Read(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = nil
	if err != nil {
		if !first || !d.copies || d.folder == "" || errors.Is(err, remote.ErrNone) {
			return err
		}
		kept := remote.CopyIn(d.folder, d.source)
		copied, since, missing := kept.Load()
		if missing != nil {
			return fmt.Errorf("%w; and there is no copy of an earlier one (%s)", err, kept.Path())
		}
		doc, d.since, d.away = copied, since, err
	}
	d.last = doc
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	o.File, o.Data, o.Format, o.Folder = d.source.Name, doc.Data, d.source.Format, folder
	if o.Data == nil {
		o.Data = []byte{} // an empty document, and not a file to read
	}
	return nil
}

// follow reads the configuration again whenever the store has another one, until the
// function that it returns is called. What has taken effect is kept as the copy.
func (d *distant) follow(ctx context.Context, srv *server.Server, log *slog.Logger) (stop func()) {
	if d.source == nil {
		return func() {}
	}
	d.mu.Lock()
	last := d.last
	if d.away != nil {
		log.Warn("the configuration's store does not answer; weft has started with the copy of an earlier one", "source", d.source.Name, "copied", d.since.Format(time.RFC3339), "error", d.away)
	} else {
		d.keep(log)
	}
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		d.source.Follow(ctx, last, log, func(remote.Document) {
			if _, err := srv.ReloadConfig(ctx, byRemote); err != nil {
				return // the server has logged what is wrong
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.keep(log)
		})
	})
	return func() {
		cancel()
		following.Wait()
	}
}

// keep saves what was read last. The caller holds mu.
func (d *distant) keep(log *slog.Logger) {
	if d.folder == "" {
		return
	}
	if err := remote.CopyIn(d.folder, d.source).Save(d.last); err != nil {
		log.Warn("the configuration is not kept for a start without its store", "error", err)
	}
}
