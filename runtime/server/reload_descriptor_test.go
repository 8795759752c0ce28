package server_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weftrun/weft/plugins/std"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/server"
)

// schema is a descriptor set of acme.Telemetry, whose only field has that name.
func schema(t *testing.T, field string) []byte {
	t.Helper()
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("telemetry.proto"), Package: proto.String("acme"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Telemetry"), Field: []*descriptorpb.FieldDescriptorProto{{
			Name: &field, JsonName: &field, Number: proto.Int32(1),
			Type: descriptorpb.FieldDescriptorProto_TYPE_UINT32.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const describing = `
watch: false
converters: {telemetry: {from: protobuf, to: json, descriptor: telemetry.binpb, message: acme.Telemetry}}
plugins:
  thin: {file: "std:json-filter", config: {remove: [x]}}
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "in", convert: telemetry}
  - {name: plain, address: "127.0.0.1:0", frame: length32, topic: "route"}
  - {name: chained, address: "127.0.0.1:0", frame: length32, topic: "chain", chain: [{plugin: thin, convert: telemetry}]}
routes:
  - {name: convert, when: {topic: "route"}, to: [subscribers], convert: telemetry}
api: {address: "127.0.0.1:0", rate: 100/s}
`

// A descriptor set that changes is taken up by a reload, by everybody at once, whatever
// else has changed with it; one that is wrong changes nothing.
func TestReloadADescriptor(t *testing.T) {
	dir, log := t.TempDir(), &lockedBuffer{}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("weft.yaml", []byte(describing))
	write("telemetry.binpb", schema(t, "first"))
	read := func(context.Context) (*config.Config, error) {
		return config.Load(config.Options{File: filepath.Join(dir, "weft.yaml"), Presets: frame.Presets(), StdPlugins: std.Names()})
	}
	cfg, err := read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(t.Context(), server.Options{Config: cfg, Logger: textLogger(log), Reload: read, CacheDir: compiled})
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, srv)
	sub, err := f.Bus().Subscribe(t.Context(), []string{"#"}, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	in, plain, chained := f.dial("in"), f.dial("plain"), f.dial("chained")
	payload := string(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 42))
	everywhere := func(field string) {
		t.Helper()
		want := `{"` + field + `":42}`
		for where, say := range map[string]func(){
			"a listener": func() { in.say(text(payload)) }, "a route": func() { plain.say(text(payload)) }, "a chain": func() { chained.say(text(payload)) },
			"the API": func() {
				if status, answer := f.publishes("api", "telemetry", payload); status != http.StatusOK {
					t.Fatalf("%d %s", status, answer)
				}
			},
		} {
			say()
			if d, err := sub.Next(t.Context()); err != nil || string(d.Message.Payload) != want {
				t.Errorf("%s: %q, %v, want %s", where, d.Message.Payload, err, want)
			}
		}
	}
	reloads := func(result string, changed ...string) {
		t.Helper()
		s, err := f.ReloadConfig(t.Context(), admin.ByAPI)
		if (err != nil) != (result == admin.ReloadRefused) || s.Last.Result != result || !slices.Equal(s.Last.Changed, changed) {
			t.Fatalf("%v, %+v, want %s %v", err, s, result, changed)
		}
	}
	everywhere("first")
	reloads(admin.ReloadUnchanged)

	write("telemetry.binpb", schema(t, "second"))
	reloads(admin.ReloadApplied, "converters")
	everywhere("second")
	reloads(admin.ReloadUnchanged)

	write("telemetry.binpb", schema(t, "third"))
	write("weft.yaml", []byte(strings.Replace(describing, "rate: 100/s", "rate: 101/s", 1)))
	reloads(admin.ReloadApplied, "api", "converters")
	everywhere("third")

	write("telemetry.binpb", []byte("no descriptor"))
	reloads(admin.ReloadRefused)
	everywhere("third")
	write("telemetry.binpb", schema(t, "third"))
	reloads(admin.ReloadUnchanged)
	if s := f.ConfigStatus(); !s.Good {
		t.Errorf("%+v", s)
	}

	write("telemetry.binpb", schema(t, "fourth")) // which a change of the configuration's file takes up, too
	write("weft.yaml", []byte(describing))
	f.FileChanged(filepath.Join(dir, "weft.yaml"))
	everywhere("fourth")
	if n := strings.Count(log.String(), "the configuration was read again\""); n != 3 {
		t.Errorf("it was read again %d times:\n%s", n, log)
	}
}
