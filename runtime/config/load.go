package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// Options says where the configuration comes from.
type Options struct {
	// File is the path of a YAML (.yaml, .yml), TOML (.toml) or JSON (.json)
	// file. Empty: no file. With Data it may be any name, such as a URL.
	File string
	// Data is the file's content; if it is not nil, File is only its name and
	// nothing is read.
	Data []byte
	// Format is yaml, toml or json; empty: what File's name ends with.
	Format string
	// Folder is what paths in the configuration are relative to; empty: File's folder.
	Folder string
	// Env is the environment in the form of os.Environ; nil: none. See the
	// documentation of Load.
	Env []string
	// Reserved names further variables that begin with WEFT_ and are no keys.
	// WEFT_CONFIG always is one.
	Reserved []string
	// Overrides are keys with their values as text, such as those of flags:
	// "api.address" to "127.0.0.1:0". They win over everything else.
	Overrides map[string]string
	// Presets are the names of the frame formats that weft brings along. Nil:
	// it is not checked whether a listener's frame exists.
	Presets []string
	// StdPlugins are the names of the plugins that ship with weft. Nil: it is
	// not checked whether a std: plugin exists.
	StdPlugins []string
}

// folder is what paths are relative to.
func (o *Options) folder() string {
	switch {
	case o.Folder != "":
		return o.Folder
	case o.File != "":
		return filepath.Dir(o.File)
	}
	return "."
}

// maxFile is the largest configuration file that is read.
const maxFile = 16 << 20

// ErrFile is wrapped by the error about a file that cannot be read at all.
var ErrFile = errors.New("cannot read the configuration file")

// Load reads and checks the configuration: defaults, then the file, then the
// environment, then the overrides. It reports everything that is wrong at once,
// as Problems; ErrFile where there is no file to check.
//
// In the environment a key's name is WEFT_ and its path in upper case with '_'
// between: WEFT_API_ADDRESS is api.address. An entry of a list goes by its name
// or its index, an entry of a mapping by its name, and both must be in the file:
// WEFT_LISTENERS_TRUCKS_OUTBOX_SIZE, WEFT_ROUTES_0_HASH,
// WEFT_PLUGINS_AUTH_CONFIG_KEY. A plugin's configuration may get new keys, in
// lower case. A list is given whole, divided by commas or in YAML's flow style:
// WEFT_DEFAULT_ROUTE=subscribers,queue:ops. A variable that begins with WEFT_ and
// is no key is refused, except for those that Kubernetes sets for services
// called weft or weft-NAME. Overrides take the same values; their keys are dotted paths:
// listeners.trucks.address.
func Load(o Options) (*Config, error) {
	src, problems, err := read(o)
	if err != nil {
		return nil, err
	}
	if len(src.tree) == 0 && len(problems) > 0 {
		return nil, hide(problems)
	}
	layers := koanf.New(".")
	if err := layers.Load(confmap.Provider(src.tree, ""), nil); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, o.File, err)
	}
	l := &loader{tree: layers.Raw(), src: src, problems: problems}
	l.environment(o)
	l.overrides(o.Overrides)
	if err := layers.Load(confmap.Provider(l.tree, ""), nil); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, o.File, err)
	}

	d := &decoder{places: src.places, frames: src.frames, secrets: newSecrets(o), problems: l.problems}
	tree := layers.Raw()
	c := &Config{origin: &origin{file: o.File, folder: o.folder(), sum: src.sum, blank: src.blank, read: o.Data == nil && o.File != "", places: src.places, tree: tree, secrets: d.secrets, options: o, descriptors: map[string][]byte{}}}
	c.origin.options.Data = nil
	d.structure(reflect.ValueOf(c).Elem(), tree, "")
	c.complete(tree)
	all := append(d.problems, c.validate()...)
	if len(all) > 0 {
		return nil, c.arrange(all)
	}
	return c, nil
}

// LoadLike loads another text as the configuration was loaded: o says what it is, and its
// paths are relative to the same folder, and the same environment and overrides hold. The
// text says where their values come to stand, and may be of somebody who must not know
// them: a problem with one does not show it.
func (c *Config) LoadLike(o Options) (*Config, error) {
	if c.origin != nil {
		from := &c.origin.options
		o.Folder, o.Env, o.Reserved, o.Overrides = c.Folder(), from.Env, from.Reserved, from.Overrides
	}
	to, err := Load(o)
	if problems, ok := errors.AsType[Problems](err); ok {
		for i := range problems {
			p := &problems[i]
			if p.File == overridePlace || strings.HasPrefix(p.File, envPlace) {
				p.Value, p.Found, p.Fix = "", "", ""
			}
		}
	}
	return to, err
}

// Default is the configuration without a file, an environment or overrides.
func Default() *Config {
	c := &Config{}
	d := &decoder{}
	d.structure(reflect.ValueOf(c).Elem(), nil, "")
	c.complete(nil)
	return c
}

// read reads the file into a tree.
func read(o Options) (source, Problems, error) {
	data := o.Data
	if data == nil && o.File == "" {
		return source{tree: map[string]any{}, places: map[string]Place{}}, nil, nil
	}
	if data == nil {
		info, err := os.Stat(o.File)
		if err != nil {
			return source{}, nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		if info.Size() > maxFile {
			return source{}, nil, fmt.Errorf("%w: %s has %d bytes, at most %d are read", ErrFile, o.File, info.Size(), maxFile)
		}
		if data, err = os.ReadFile(o.File); err != nil {
			return source{}, nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
	}
	var src source
	var problems Problems
	ext := strings.ToLower(filepath.Ext(o.File))
	if o.Format != "" {
		ext = "." + o.Format
	}
	switch ext {
	case ".yaml", ".yml":
		src, problems = readYAML(o.File, data)
	case ".toml":
		src, problems = readTOML(o.File, data)
	case ".json":
		src, problems = readJSON(o.File, data)
	default:
		return source{}, nil, fmt.Errorf("%w: %s: unknown kind of file %q; expected .yaml, .yml, .toml or .json", ErrFile, o.File, ext)
	}
	src.sum, src.blank = sha256.Sum256(data), len(src.tree) == 0
	if _, text := src.tree[schemaKey].(string); text {
		delete(src.tree, schemaKey) // for editors
	}
	return src, problems, nil
}

// loader puts text from the environment and from overrides into the tree.
type loader struct {
	tree     map[string]any
	src      source
	problems Problems
}

func (l *loader) environment(o Options) {
	reserved := append([]string{"WEFT_CONFIG"}, o.Reserved...)
	for _, variable := range slices.Sorted(slices.Values(o.Env)) {
		name, text, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(reserved, name) {
			continue
		}
		path, ok := envPath(reflect.TypeFor[Config](), l.tree, rest)
		if ofKubernetes(rest, text) && !(ok && l.known(path)) {
			continue
		}
		if !ok {
			l.problems = append(l.problems, Problem{Cause: "unknown key", Key: name, Fix: didYouMean(name, variables(reflect.TypeFor[Config](), l.tree, envPrefix)), File: "environment"})
			continue
		}
		l.set(path, text, Place{File: envPlace + name})
	}
}

// serviceLink are the names of the variables that Kubernetes sets in every container for a
// service called weft or weft-NAME, without the prefix: SERVICE_HOST, API_PORT_7480_TCP and
// so on.
var serviceLink = regexp.MustCompile(`^(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$`)

// ofKubernetes tells whether a variable is one of those, or PORT or API_PORT with an address.
func ofKubernetes(rest, text string) bool {
	return serviceLink.MatchString(rest) || (rest == "PORT" || strings.HasSuffix(rest, "_PORT")) && strings.Contains(text, "://")
}

// known tells whether there is a key at a path; a plugin's configuration has all of them.
func (l *loader) known(path []string) bool {
	_, _, ok := locate(reflect.TypeFor[Config](), l.tree, path)
	return ok
}

func (l *loader) overrides(overrides map[string]string) {
	for _, key := range sortedKeys(overrides) {
		l.set(strings.Split(key, "."), overrides[key], Place{File: overridePlace})
	}
}

// set puts the text, in the form that its key wants, into the tree.
func (l *loader) set(path []string, text string, from Place) {
	at, p, ok := locate(reflect.TypeFor[Config](), l.tree, path)
	if !ok {
		p.File = from.File
		l.problems = append(l.problems, p)
		return
	}
	var value any
	if at.t != nil {
		value = coerce(at.t, text)
	} else {
		value = l.untyped(at.path, text)
	}
	if _, err := put(l.tree, at.path, value); err != nil {
		l.problems = append(l.problems, Problem{Cause: "cannot be set", Key: strings.Join(path, "."), Found: err.Error(), File: from.File})
		return
	}
	joined := strings.Join(at.path, ".")
	for known := range l.src.places {
		if strings.HasPrefix(known, joined+".") {
			delete(l.src.places, known)
		}
	}
	for i := range at.path { // what it makes on the way is there because of it, too
		if above := strings.Join(at.path[:i+1], "."); l.src.places[above] == (Place{}) {
			l.src.places[above] = from
		}
	}
	l.src.places[joined] = from
	if at.path[0] == "frames" && len(at.path) > 1 {
		delete(l.src.frames, at.path[1])
	}
}

// untyped is the value of a key of a plugin's configuration: text, unless the
// file has a number or truth value there or the text is in flow style.
func (l *loader) untyped(path []string, text string) any {
	var old any = l.tree
	for _, segment := range path {
		_, old, _ = child(old, segment)
	}
	switch old.(type) {
	case bool, int64, uint64, float64:
		if value, err := parseValue(text); err == nil {
			return value
		}
	}
	return structured(text)
}

// complete sets what depends on more than one key. The tree tells which keys
// were given.
func (c *Config) complete(tree map[string]any) {
	listeners, _ := tree["listeners"].([]any)
	for i := range c.Listeners {
		keys, _ := listeners[i].(map[string]any)
		if _, given := keys["acknowledge"]; !given && c.Listeners[i].Frame == "line" {
			c.Listeners[i].Acknowledge = "ACK: {payload}"
		}
		if c.Listeners[i].Frame == FrameDatagram && c.Listeners[i].Datagram == nil {
			c.Listeners[i].Datagram = defaultDatagram()
		}
		if c.Listeners[i].Frame == FrameMQTT && c.Listeners[i].MQTT == nil {
			c.Listeners[i].MQTT = defaultMQTT()
		}
		if c.Listeners[i].IsModbus() && c.Listeners[i].Modbus == nil {
			c.Listeners[i].Modbus = defaultListenerModbus()
		}
	}
	folder := c.Folder()
	c.Trust.resolve(folder)
	c.API.resolve(folder)
	c.API.TLS.complete(folder)
	for i := range c.Listeners {
		c.Listeners[i].TLS.complete(folder)
	}
	c.Consul.complete(folder)
	c.Tracing.TLS.complete(folder)
	for name, upstream := range c.Upstreams {
		upstream.complete(folder, &c.Consul)
		c.Upstreams[name] = upstream
	}
	for name, converter := range c.Converters {
		converter.resolve(folder, c.origin.descriptors)
		c.Converters[name] = converter
	}
	for name, plugin := range c.Plugins {
		if _, std := plugin.Std(); !std && plugin.File != "" {
			if plugin.Path = plugin.File; !filepath.IsAbs(plugin.Path) {
				plugin.Path = filepath.Join(folder, plugin.Path)
			}
		}
		if plugin.Grants.KV != nil && plugin.Grants.KV.Namespace == "" {
			plugin.Grants.KV.Namespace = name
		}
		c.Plugins[name] = plugin
	}
}

// arrange gives each problem its place and readable key and sorts them as they
// stand in the file; what has no line comes last. Of several problems with one
// key only the first is kept: the others mostly follow from it.
func (c *Config) arrange(problems Problems) Problems {
	seen := make(map[string]bool)
	problems = slices.DeleteFunc(problems, func(p Problem) bool {
		again := p.Key != "" && seen[p.Key]
		seen[p.Key] = true
		return again
	})
	for i, p := range problems {
		if p.File == "" && p.Key != "" {
			at := c.Place(p.Key)
			problems[i].File, problems[i].Line = at.File, at.Line
		}
		problems[i].Key = c.readable(p.Key)
	}
	problems = hide(problems)
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.Key, b.Key))
	})
	return problems
}

func order(p Problem) int {
	if p.Line == 0 {
		return 1 << 30
	}
	return p.Line
}
