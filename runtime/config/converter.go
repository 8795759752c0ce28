package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Converter turns payloads of one codec into another. Listeners, routes and
// clients of the API use it by its name.
type Converter struct {
	// From is the codec that payloads have before.
	From string `koanf:"from" yaml:"from" required:"true" enum:"bytes,text,json,protobuf,msgpack,cbor"`
	// To is the codec that payloads have afterwards.
	To string `koanf:"to" yaml:"to" required:"true" enum:"bytes,text,json,protobuf,msgpack,cbor"`
	// Descriptor is the file of a Protobuf descriptor set, relative to the
	// configuration file's folder. "protoc --include_imports -o FILE" writes one.
	// A changed file takes effect with the next reload; it is not watched.
	Descriptor string `koanf:"descriptor" yaml:"descriptor"`
	// Message is the full name of the Protobuf message: acme.Telemetry.
	Message string `koanf:"message" yaml:"message"`
	// Limits bound what one payload may take.
	Limits ConverterLimits `koanf:"limits" yaml:"limits"`

	// Path is the descriptor's resolved path, Set what the file holds; empty where there is
	// none. Load sets both: all that is made of the configuration has the same schema,
	// whatever becomes of the file.
	Path string `koanf:"-" yaml:"-"`
	Set  []byte `koanf:"-" yaml:"-"`
}

// ConverterLimits bound what one payload may take. What is over them fails.
type ConverterLimits struct {
	// Size is the largest payload, before the conversion and after it.
	Size Size `koanf:"size" yaml:"size" default:"1MiB" min:"1" max:"16MiB"`
	// Depth is how deep lists and maps may be nested.
	Depth int `koanf:"depth" yaml:"depth" default:"64" min:"1" max:"1000"`
	// Values is how many values there may be, keys counted.
	Values int `koanf:"values" yaml:"values" default:"100000" min:"1" max:"10000000"`
}

// protobuf is the codec that needs a descriptor.
const protobuf = "protobuf"

// maxDescriptor is how many bytes a descriptor set may have.
const maxDescriptor = 64 << 20

// resolve finds the descriptor relative to the configuration file's folder, and reads it,
// unless it is one of those that were read, by path. Why it cannot be read is told by the
// checker.
func (c *Converter) resolve(folder string, read map[string][]byte) {
	if c.Path = c.Descriptor; c.Path == "" {
		return
	}
	if !filepath.IsAbs(c.Path) {
		c.Path = filepath.Join(folder, c.Path)
	}
	set, known := read[c.Path]
	if !known {
		set, _ = readFile(c.Path, maxDescriptor)
		read[c.Path] = set
	}
	c.Set = set
}

func (k *checker) converters() {
	for _, name := range sortedKeys(k.c.Converters) {
		path := join("converters", name)
		k.name(path, name)
		k.converter(path, k.c.Converters[name])
	}
}

func (k *checker) converter(path string, c Converter) {
	if c.From == protobuf || c.To == protobuf {
		if c.Descriptor == "" {
			k.add(join(path, "descriptor"), Problem{Cause: "missing key", Expected: "the file of a descriptor set", Fix: "protoc --include_imports -o FILE.binpb FILE.proto writes one"})
		}
		if c.Message == "" {
			k.add(join(path, "message"), Problem{Cause: "missing key", Expected: "the full name of a message in it, such as acme.Telemetry"})
		}
	} else {
		for key, value := range map[string]string{"descriptor": c.Descriptor, "message": c.Message} {
			if value != "" {
				k.add(join(path, key), Problem{Cause: "has no effect", Value: show(value), Found: fmt.Sprintf("from %s to %s", c.From, c.To), Expected: "protobuf on one side", Fix: "remove the key"})
			}
		}
	}
	if c.From == "bytes" && c.To == "bytes" {
		k.add(join(path, "to"), Problem{Cause: "has no effect", Value: show(c.To), Expected: "another codec than from"})
	}
	if c.Path == "" || c.Set != nil {
		return
	}
	info, err := os.Stat(c.Path)
	if err == nil && !info.IsDir() {
		_, err = readFile(c.Path, maxDescriptor)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.add(join(path, "descriptor"), Problem{Cause: "no such file", Value: show(c.Path), Fix: "correct the path (relative to this file's folder), or make it: protoc --include_imports -o FILE.binpb FILE.proto"})
	case err != nil:
		k.add(join(path, "descriptor"), Problem{Cause: "cannot read the file", Value: show(c.Path), Found: err.Error()})
	case info.IsDir():
		k.add(join(path, "descriptor"), Problem{Cause: "not a file", Value: show(c.Path), Found: "a folder", Expected: "a descriptor set"})
	}
}

// convert checks a listener's or route's use of a converter.
func (k *checker) convert(path, name string) {
	if name != "" {
		k.oneOf(join(path, "convert"), name, sortedKeys(k.c.Converters), "unknown converter", "a key of converters")
	}
}

// isOrigin tells a web origin (RFC 6454, section 6.2) from other text.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && text == u.Scheme+"://"+u.Host && text == strings.ToLower(text)
}

// origins checks the origins that browsers may call the API from.
func (k *checker) origins(path string, origins []string) {
	for i, origin := range origins {
		if origin != "*" && !isOrigin(origin) {
			k.add(fmt.Sprintf("%s.%d", path, i), Problem{Cause: "not an origin", Value: show(origin), Expected: "scheme and host without a path, such as https://console.example.org, or *"})
		}
	}
	if len(origins) > 1 && slices.Contains(origins, "*") {
		k.add(path, Problem{Cause: "has no effect", Found: `"*", which is every origin, beside others`, Fix: `write ["*"], or remove it`})
	}
}
