package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/config"
)

// neighbour is the weft that answers at the address of a configuration's API: mostly the
// one that runs it.
type neighbour struct {
	at    string          // empty: there is none
	holds map[string]bool // "tcp 127.0.0.1:7400"; nil: it does not tell who shows no token
}

// neighbourWithin is how long it may take to answer.
const neighbourWithin = 3 * time.Second

// beside asks who answers at the API's address. It shows nobody's token and believes what
// is said no further than for a note, so the certificate is not looked at.
func beside(ctx context.Context, cfg *config.Config) neighbour {
	at, err := netip.ParseAddrPort(cfg.API.Address)
	if err != nil || at.Port() == 0 {
		return neighbour{}
	}
	if at.Addr().IsUnspecified() {
		local := netip.IPv6Loopback()
		if at.Addr().Is4() {
			local = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		at = netip.AddrPortFrom(local, at.Port())
	}
	ctx, cancel := context.WithTimeout(ctx, neighbourWithin)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	asked := api{address: "http://" + at.String()}
	if cfg.API.TLS != nil {
		asked.address = "https://" + at.String()
	}
	client := &http.Client{Transport: transport}
	if _, _, err := asked.stateBy(ctx, client, "/healthz"); err != nil {
		return neighbour{}
	}
	n := neighbour{at: cfg.API.Address}
	list, err := weftv1connect.NewListenersClient(client, asked.address).List(ctx, connect.NewRequest(&weftv1.ListenersListRequest{}))
	if err == nil {
		n.holds = map[string]bool{"tcp " + cfg.API.Address: true}
		for _, l := range list.Msg.GetListeners() {
			n.holds[l.GetNetwork()+" "+l.GetAddress()] = true
		}
	}
	return n
}

// tryAddresses tries those of the listeners and of the API. One that the weft beside has is no
// failure: it is the one that is asked about, or the note says which to look at.
func tryAddresses(cfg *config.Config, n neighbour) (list []finding) {
	try := func(name, network, address string) {
		err := free(network, address)
		f := found("addresses", name+" "+address, err)
		if err != nil && errors.Is(err, syscall.EADDRINUSE) && n.at != "" && (n.holds == nil || n.holds[network+" "+address]) {
			f = found("addresses", name+" "+address, nil)
			f.Warnings = []string{"in use: " + n.note("stop that one, or choose another address")}
		}
		list = append(list, f)
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		try(l.Name, networkOf(l), l.Address)
	}
	if cfg.API.Address != "" {
		try("api", "tcp", cfg.API.Address)
	}
	return list
}

// note says who has what is in use.
func (n neighbour) note(otherwise string) string {
	whose := "a weft answers at " + n.at + ", which may have it"
	if n.holds != nil {
		whose = "the weft that answers at " + n.at + " has it"
	}
	return whose + ". If that one runs this configuration, all is well (--no-addresses leaves this out); else " + otherwise
}

// folderInUse is the finding of a data folder that somebody has.
func (n neighbour) folderInUse(folder string, err error) finding {
	const otherwise = "stop that one, or set backbone.data to another folder"
	if n.at == "" {
		return found("backbone", folder, fmt.Errorf("%w: %s, or pass --no-addresses", err, otherwise))
	}
	f := found("backbone", folder, nil)
	f.Warnings = []string{fmt.Sprint(err, ": ", n.note(otherwise))}
	return f
}

// inUse tells whether a folder is right but for who has it.
func inUse(err error) bool { return errors.Is(err, backbone.ErrInUse) }

// exposedTokens warns of tokens that anybody on the way can read.
func exposedTokens(cfg *config.Config) []string {
	at, err := netip.ParseAddrPort(cfg.API.Address)
	if err != nil || at.Addr().IsLoopback() || cfg.API.TLS != nil {
		return nil
	}
	return []string{fmt.Sprintf("tokens go over plain HTTP to %s: who sees the traffic can use them; write api.tls, or a loopback address behind something that speaks TLS (%s)", cfg.API.Address, cfg.Place("api.address"))}
}

// free tells whether an address can be listened on.
func free(network, address string) error {
	var l io.Closer
	var err error
	shown := "ss -ltnp"
	if network == "udp" {
		shown = "ss -lunp"
		l, err = net.ListenPacket(network, address)
	} else {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return fmt.Errorf("%w: stop the process that listens there (%s shows it), choose another address, or pass --no-addresses", err, shown)
	}
	return l.Close()
}
