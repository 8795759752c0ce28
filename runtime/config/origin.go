package config

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
)

// origin remembers where each key came from and what was known to exist.
type origin struct {
	file    string
	folder  string
	sum     [sha256.Size]byte
	blank   bool // there is a document, and nothing in it
	read    bool // from the file itself, not handed over
	places  map[string]Place
	tree    map[string]any // what was given, before types and defaults
	secrets *secrets
	options Options // but for the text
	// descriptors are the sets that converters were given, by resolved path.
	descriptors map[string][]byte
}

// File is the name of the file that the configuration came from; empty if none.
func (c *Config) File() string {
	if c.origin == nil {
		return ""
	}
	return c.origin.file
}

// FileFault is why the file that the configuration was read from cannot be read any more,
// so that a start with it would fail; nil if it can, or if there was none. It opens the file.
func (c *Config) FileFault() error {
	if c.origin == nil || !c.origin.read {
		return nil
	}
	info, err := os.Stat(c.origin.file)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s: it is a folder now", c.origin.file)
	case !info.Mode().IsRegular():
		return nil // to open a pipe may wait
	}
	f, err := os.Open(c.origin.file)
	if err != nil {
		return err
	}
	return f.Close()
}

// Sum is the SHA-256 of the file that the configuration came from; zero if none.
func (c *Config) Sum() [sha256.Size]byte {
	if c.origin == nil {
		return [sha256.Size]byte{}
	}
	return c.origin.sum
}

// Folder is the folder to which the paths in the configuration are relative.
func (c *Config) Folder() string {
	if c.origin == nil {
		return "."
	}
	return c.origin.folder
}

// Place tells where a key stands, such as plugins.auth.file or
// listeners.trucks.address (by name or by index); where the key itself is
// nowhere, the nearest one above it that is. It is what an error about the
// key's value is to be printed with.
func (c *Config) Place(key string) Place {
	if c.origin == nil {
		return Place{}
	}
	for path := c.indexed(key); path != ""; {
		if place, ok := c.origin.places[path]; ok {
			return place
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return Place{File: c.origin.file}
}

// says tells whether a key is written somewhere, as far as that is known.
func (c *Config) says(key string) bool {
	if c.origin == nil {
		return true
	}
	_, written := c.origin.places[key]
	return written
}

// names of a list's entries by the list's key.
func (c *Config) names(list string) []string {
	var names []string
	switch list {
	case "listeners":
		for _, l := range c.Listeners {
			names = append(names, l.Name)
		}
	case "routes":
		for _, r := range c.Routes {
			names = append(names, r.Name)
		}
	}
	return names
}

// indexed replaces the name of a list's entry in a path by its index.
func (c *Config) indexed(path string) string {
	parts := strings.SplitN(path, ".", 3)
	if len(parts) < 2 {
		return path
	}
	for i, name := range c.names(parts[0]) {
		if name == parts[1] {
			parts[1] = strconv.Itoa(i)
			break
		}
	}
	return strings.Join(parts, ".")
}

// readable replaces the index of a list's entry in a path by its name, where the
// name is unique.
func (c *Config) readable(path string) string {
	parts := strings.SplitN(path, ".", 3)
	if len(parts) < 2 {
		return path
	}
	names := c.names(parts[0])
	i, err := strconv.Atoi(parts[1])
	if err != nil || i < 0 || i >= len(names) || !wellFormed(names[i]) {
		return path
	}
	for j, name := range names {
		if name == names[i] && j != i {
			return path
		}
	}
	parts[1] = names[i]
	return strings.Join(parts, ".")
}

// String tells how large the configuration is and where it came from; never what
// is in it.
func (c *Config) String() string {
	from := c.File()
	if from == "" {
		from = "defaults"
	}
	return fmt.Sprintf("configuration from %s: %d listeners, %d plugins, %d routes, %d frames", from, len(c.Listeners), len(c.Plugins), len(c.Routes), len(c.Frames))
}

// LogValue is what log/slog writes.
func (c *Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
