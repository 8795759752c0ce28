package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/datagram/client"
)

// frameDatagram is the --frame that goes over UDP.
const frameDatagram = "mcp-dgram"

// codec is what send needs of a frame format.
type codec interface {
	Append(dst []byte, m *abi.Message) ([]byte, error)
	Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error)
}

// datagrams tells whether the choice is reliable datagrams.
func (w *wire) datagrams() bool { return w.declaration == "" && w.name == frameDatagram }

// dialDatagrams opens a connection over UDP.
func dialDatagrams(mtu int) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		return client.Dial(ctx, address, datagram.Config{MTU: mtu})
	}
}

// streamOnly refuses what goes over TCP alone.
func streamOnly(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return usageError("--%s goes over TCP, and --frame %s over UDP", name, frameDatagram)
		}
	}
	return nil
}

// datagrams is send over UDP. It ends when weft has acknowledged what was sent.
func (s *sending) datagrams(cmd *cobra.Command, m *abi.Message) error {
	if err := streamOnly(cmd, "tls", "websocket"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), max(s.wait, 5*time.Second))
	defer cancel()
	conn, err := dialDatagrams(0)(ctx, s.to)
	if err != nil {
		return fail(exitRuntime, err, "Is a weft running there with a listener that has frame: "+frameDatagram+"? --to names it.")
	}
	defer conn.Close()
	stop := context.AfterFunc(cmd.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := s.exchange(cmd, &exchange{conn: conn, format: datagram.Codec{}}, m); err != nil {
		return err
	}
	if err := conn.(*client.Stream).Flush(); err != nil {
		return fail(exitRuntime, fmt.Errorf("weft has not acknowledged the message: %w", err), "")
	}
	return nil
}
