package admin_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// secretText is what no record may have: it stands in bytes and in what is marked.
const secretText = "SECRET-of-a-request"

// untold are the fields whose values no record has.
var untold = map[protoreflect.FullName]bool{
	"weft.v1.ConfigCheckRequest.text": true, // a configuration may have secrets
	"weft.v1.PluginsSwapRequest.wasm": true,
}

// fill sets every field of a request, and says which names a record must have and which
// texts.
func fill(t *testing.T, m protoreflect.Message, prefix string, depth int) (want []string) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := prefix + string(f.Name())
		text := "text-of-" + string(f.Name())
		if untold[f.FullName()] {
			text = secretText
		}
		one := func() protoreflect.Value {
			switch f.Kind() {
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(text)
			case protoreflect.BytesKind:
				if !untold[f.FullName()] {
					t.Errorf("%s has bytes: say in untold that no record has them", f.FullName())
				}
				return protoreflect.ValueOfBytes([]byte(text))
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(1)
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(41)
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(41)
			}
			t.Fatalf("%s is a %s: this test cannot fill it", f.FullName(), f.Kind())
			return protoreflect.Value{}
		}
		switch {
		case f.IsList():
			list := m.Mutable(f).List()
			for range 40 {
				list.Append(one())
			}
			want = append(want, name+"=", "... (40)")
		case f.Kind() == protoreflect.MessageKind && f.Message().ParentFile().Package() == "weft.v1" && depth < 3:
			want = append(want, fill(t, m.Mutable(f).Message(), name+".", depth+1)...)
		case f.Kind() == protoreflect.MessageKind:
			m.Mutable(f) // of time
			want = append(want, name+"=")
		default:
			m.Set(f, one())
			if want = append(want, name+"="); f.Kind() == protoreflect.StringKind && !untold[f.FullName()] {
				want = append(want, text)
			}
		}
	}
	return want
}

func recordOf(request proto.Message) string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("", admin.Asked(request))
	return b.String()
}

// eachOperatorsCall goes through the calls that only an operator may make.
func eachOperatorsCall(t *testing.T, yield func(procedure string, request func() proto.Message)) {
	t.Helper()
	n := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("weft.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for k := range s.Methods().Len() {
				procedure := "/" + string(s.FullName()) + "/" + string(s.Methods().Get(k).Name())
				if by, _ := admin.NeedOf(procedure); by["read"] || by["messages"] {
					continue
				}
				made, err := protoregistry.GlobalTypes.FindMessageByName(s.Methods().Get(k).Input().FullName())
				if err != nil {
					t.Fatal(err)
				}
				n++
				yield(procedure, func() proto.Message { return made.New().Interface() })
			}
		}
		return true
	})
	if n < 16 {
		t.Fatalf("only %d calls are an operator's", n)
	}
}

// Every call of an operator has in its record all that it asked for, and no secret.
func TestAuditSaysWhatWasAsked(t *testing.T) {
	eachOperatorsCall(t, func(procedure string, request func() proto.Message) {
		r := request()
		want := fill(t, r.ProtoReflect(), "asked.", 0)
		if len(want) == 0 && procedure != weftv1connect.ConfigReloadProcedure {
			t.Errorf("%s: its request has nothing to record", procedure)
		}
		record := recordOf(r)
		for _, text := range want {
			if !strings.Contains(record, text) {
				t.Errorf("%s: the record has no %q:\n%s", procedure, text, record)
			}
		}
		if strings.Contains(record, secretText) {
			t.Errorf("%s: a secret is in the record:\n%s", procedure, record)
		}
		if len(record) > 2000 {
			t.Errorf("%s: the record has %d bytes", procedure, len(record))
		}
	})
}

// Zero may be what is asked for; long texts are cut between characters.
func TestAuditOfZeroAndOfMuch(t *testing.T) {
	if record := recordOf(&weftv1.PluginsSetWeightRequest{Name: "guest"}); !strings.Contains(record, "asked.name=guest asked.weight=0") {
		t.Errorf("it is %q", record)
	}
	record := recordOf(&weftv1.FastPathBlockRequest{Source: "192.0.2.7", Why: strings.Repeat("é", 5000)})
	if len(record) > 700 || !strings.Contains(record, "éé...") || strings.Contains(record, "\ufffd") {
		t.Errorf("it is %q", record)
	}
}

// Unary calls and streams are recorded with what they asked for, whatever became of them.
func TestAuditOfCalls(t *testing.T) {
	r := guarded(t, nil)
	r.with(t, http.MethodPost, weftv1connect.DeadLettersPurgeProcedure, "Bearer "+tokens["operate"], `{"filter":{"plugin":"guest"}}`)
	replay := connect.NewRequest(&weftv1.DeadLettersReplayRequest{Ids: []uint64{4711}, DryRun: true})
	replay.Header().Set("Authorization", "Bearer "+tokens["operate"])
	stream, err := weftv1connect.NewDeadLettersClient(client(t, false), r.url).Replay(t.Context(), replay)
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	for stream.Receive() {
		answers++
	}
	_ = stream.Close()
	t.Logf("the replay gave %d answers", answers)
	for _, want := range []string{"asked.filter.plugin=guest", "asked.ids=4711", "asked.dry_run=true"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, r.log)
		}
	}
}
