package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// maxInput bounds what is read from stdin or a file: no message can be larger.
const maxInput = abi.MaxPayload

var apiTypes = map[string]weftv1.Type{
	"event": weftv1.Type_TYPE_EVENT, "request": weftv1.Type_TYPE_REQUEST,
	"response": weftv1.Type_TYPE_RESPONSE, "ack": weftv1.Type_TYPE_ACK,
}

type publishing struct {
	api        api
	attributes []string
	kind       string
	priority   uint8
	qos        uint8
	seq        uint64
	file       string
	convert    string
	retain     bool
	timeout    time.Duration
	json       bool
}

// published is what --json prints.
type published struct {
	Topic     string `json:"topic"`
	Accepted  bool   `json:"accepted"`
	Delivered uint32 `json:"delivered"`
	Dropped   string `json:"dropped,omitempty"`
	Logged    bool   `json:"logged,omitempty"`
}

func publishCommand(sys system) *cobra.Command {
	var p publishing
	cmd := &cobra.Command{
		Use:   "publish TOPIC [PAYLOAD|-]",
		Short: "Publishes one message through the API",
		Long: `Publishes one message through the API, along the configured routes, and says what became of it.

The payload is the argument's text, or what stands on stdin for "-"; without one it is empty.
Exit code 1: nobody took the message.`,
		Example: `weft publish demo/hello 'hello'
weft publish alarm/7 '{"temperature":9.5}' --attr level=high --priority 5
weft publish firmware/new --file image.bin
weft publish truck/7/settings '{"interval":5}' --convert settings   # by a converter of the configuration`,
		Args: arguments(1, 2, "a topic and at most one payload"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&p.attributes, "attr", "a", nil, "an attribute, `NAME=VALUE` (repeatable)")
	f.StringVarP(&p.file, "file", "f", "", "read the payload from this `FILE`")
	f.StringVar(&p.convert, "convert", "", "the `NAME` of a converter that the payload passes first")
	f.BoolVar(&p.retain, "retain", false, "keep the message for later subscribers, where a protocol can (MQTT)")
	f.StringVar(&p.kind, "type", "event", "event, request, response or ack")
	f.Uint8Var(&p.priority, "priority", 0, "0 to 7; higher is delivered first")
	f.Uint8Var(&p.qos, "qos", 0, "0 at most once, 1 at least once, 2 exactly once")
	f.Uint64Var(&p.seq, "seq", 0, "sequence id, by which a response finds its request")
	f.BoolVar(&p.json, "json", false, "print the result as JSON")
	f.DurationVar(&p.timeout, "timeout", 10*time.Second, "give up after this long")
	p.api.flags(cmd, sys)
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"event", "request", "response", "ack"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (p *publishing) run(cmd *cobra.Command, args []string) error {
	request, err := p.request(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), p.timeout)
	defer cancel()
	response, err := p.api.client().Publish(ctx, connect.NewRequest(request))
	if err != nil {
		return p.api.failed(err)
	}
	r := published{request.Topic, response.Msg.Accepted, response.Msg.Delivered, response.Msg.Dropped, response.Msg.Logged}
	if p.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
			return err
		}
	} else if r.Logged {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: in the durable route's log\n", r.Topic)
	} else if r.Accepted {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: delivered to %d\n", r.Topic, r.Delivered)
	}
	if !r.Accepted {
		return fail(exitRuntime, fmt.Errorf("%s: nobody took the message: %s", r.Topic, r.Dropped), remedyOf(r.Dropped, r.Topic))
	}
	return nil
}

// remedyOf is what to do about a message that went nowhere.
func remedyOf(reason, topic string) string {
	if reason == "no_subscriber" {
		return fmt.Sprintf("A subscriber is needed first: weft subscribe '%s'", topic)
	}
	return ""
}

func (p *publishing) request(stdin io.Reader, args []string) (*weftv1.PublishRequest, error) {
	attributes, err := pairs("attr", p.attributes)
	if err != nil {
		return nil, err
	}
	kind, ok := apiTypes[p.kind]
	if !ok {
		return nil, oneOf("type", p.kind, "event", "request", "response", "ack")
	}
	r := &weftv1.PublishRequest{
		Topic: args[0], Attributes: attributes, Type: kind, Priority: uint32(p.priority), Qos: uint32(p.qos), Seq: p.seq,
		Retain: p.retain, Converter: p.convert,
	}
	payload, err := payloadOf(stdin, args, p.file)
	if err != nil || payload == nil {
		return r, err
	}
	if utf8.Valid(payload) {
		r.Body = &weftv1.PublishRequest_Text{Text: string(payload)}
	} else {
		r.Body = &weftv1.PublishRequest_Payload{Payload: payload}
	}
	return r, nil
}

// payloadOf is the payload that a command line names: its second argument, stdin for
// "-", or a file; nil if it names none.
func payloadOf(stdin io.Reader, args []string, file string) ([]byte, error) {
	switch {
	case file != "" && len(args) > 1:
		return nil, usageError("the payload is given twice: --file %s, and %.40q", file, args[1])
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, usageError("--file: %w", err)
		}
		defer func() { _ = f.Close() }()
		return readAll(f, file)
	case len(args) < 2:
		return nil, nil
	case args[1] == "-":
		return readAll(stdin, "stdin")
	}
	return []byte(args[1]), nil
}

// readAll reads a payload, at most as much as one message can carry.
func readAll(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(b) > maxInput:
		return nil, usageError("%s has more than %d bytes, the most that a message carries", name, maxInput)
	}
	return b, nil
}
