package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

type requesting struct {
	api        api
	attributes []string
	file       string
	convert    string
	answer     string
	priority   uint8
	timeout    time.Duration
	json       bool
	raw        bool
}

func requestCommand(sys system) *cobra.Command {
	var r requesting
	cmd := &cobra.Command{
		Use:   "request TOPIC [PAYLOAD|-]",
		Short: "Publishes one message through the API and prints its answer",
		Long: `Publishes one message through the API, as a request, waits for the first answer and prints its payload.

A device whose frames have sequence ids answers by them, a plugin by its verdict, and everybody else publishes to the
topic in the attribute response_topic, which MQTT 5 carries. Text and JSON are printed as they are, bytes in hexadecimal.
Exit code 1: nobody is there to answer, or nobody did in time.`,
		Example: `weft request devices/7/read temperature
weft request devices/7/read '{"register":40001}' --timeout 2s --json
weft request devices/7/firmware --raw >image.bin`,
		Args: arguments(1, 2, "a topic and at most one payload"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.DurationVar(&r.timeout, "timeout", 10*time.Second, "wait this long for the answer, at most 5m")
	f.StringArrayVarP(&r.attributes, "attr", "a", nil, "an attribute, `NAME=VALUE` (repeatable)")
	f.StringVarP(&r.file, "file", "f", "", "read the payload from this `FILE`")
	f.Uint8Var(&r.priority, "priority", 0, "0 to 7; higher is delivered first")
	f.StringVar(&r.convert, "convert", "", "the `NAME` of a converter for the payload")
	f.StringVar(&r.answer, "answer-convert", "", "the `NAME` of a converter for the answer's payload")
	f.BoolVar(&r.raw, "raw", false, "print the answer's payload as it is, and nothing after it")
	f.BoolVar(&r.json, "json", false, "print the answer as one line of JSON")
	r.api.flags(cmd, sys)
	cmd.MarkFlagsMutuallyExclusive("raw", "json")
	return cmd
}

func (r *requesting) run(cmd *cobra.Command, args []string) error {
	attributes, err := pairs("attr", r.attributes)
	if err != nil {
		return err
	}
	payload, err := payloadOf(cmd.InOrStdin(), args, r.file)
	if err != nil {
		return err
	}
	request := &weftv1.RequestRequest{
		Topic: args[0], Attributes: attributes, Priority: uint32(r.priority), Timeout: durationpb.New(r.timeout),
		Converter: r.convert, AnswerConverter: r.answer,
	}
	if r.raw {
		request.As = weftv1.Encoding_ENCODING_BYTES
	}
	if utf8.Valid(payload) {
		request.Body = &weftv1.RequestRequest_Text{Text: string(payload)}
	} else {
		request.Body = &weftv1.RequestRequest_Payload{Payload: payload}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), r.timeout+5*time.Second) // weft itself says when the time is up
	defer cancel()
	response, err := r.api.client().Request(ctx, connect.NewRequest(request))
	if err != nil {
		return r.failed(err, args[0])
	}
	return r.print(cmd, response.Msg.GetMessage())
}

// failed gives an error its exit code and remedy.
func (r *requesting) failed(err error, topic string) error {
	if connect.IsWireError(err) {
		var e *connect.Error
		switch errors.As(err, &e); connect.CodeOf(err) {
		case connect.CodeNotFound:
			return fail(exitRuntime, errors.New(e.Message()), fmt.Sprintf("Who is to answer subscribes to it, or a route sends it there: weft subscribe '%s' shows whether it comes.", topic))
		case connect.CodeDeadlineExceeded:
			return fail(exitRuntime, errors.New(e.Message()), "--timeout waits longer.")
		case connect.CodeFailedPrecondition:
			return fail(exitRuntime, errors.New(e.Message()), "")
		}
	}
	return r.api.failed(err)
}

func (r *requesting) print(cmd *cobra.Command, m *weftv1.Message) error {
	if m.GetConversionError() != "" {
		note(cmd, "the answer is as it came: %s", m.GetConversionError())
	}
	switch {
	case r.json:
		line, err := toReceived(m)
		if err != nil {
			return err
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(line)
	case r.raw:
		_, err := cmd.OutOrStdout().Write(m.GetPayload())
		return err
	}
	text, err := bodyText(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
