package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// network is machines of their own: each a network namespace with a cable to a
// switch that they share, and another to us, who are their clients.
type network struct {
	prefix string // of the names of everything
	octet  int    // of 10.N.0.0/16
	nodes  int
}

// newNetwork makes the machines. close removes them, also after an error.
func newNetwork(nodes int) (*network, error) {
	n := &network{prefix: fmt.Sprintf("wc%d", os.Getpid()%100_000), octet: 100 + os.Getpid()%100, nodes: nodes}
	if err := command("ip", "link", "add", n.bridge(), "type", "bridge"); err != nil {
		return n, fmt.Errorf("%w: no network namespaces here: %w", errLeftOut, err)
	}
	if err := command("ip", "link", "set", n.bridge(), "up"); err != nil {
		return n, err
	}
	for i := range nodes {
		for _, line := range [][]string{
			{"netns", "add", n.namespace(i)},
			{"link", "add", n.cable(i), "type", "veth", "peer", "name", "cluster", "netns", n.namespace(i)},
			{"link", "set", n.cable(i), "master", n.bridge(), "up"},
			{"link", "add", n.line(i), "type", "veth", "peer", "name", "clients", "netns", n.namespace(i)},
			{"addr", "add", n.outside(i).String() + "/30", "dev", n.line(i)},
			{"link", "set", n.line(i), "up"},
			{"-n", n.namespace(i), "addr", "add", n.host(i).String() + "/24", "dev", "cluster"},
			{"-n", n.namespace(i), "addr", "add", n.inside(i).String() + "/30", "dev", "clients"},
			{"-n", n.namespace(i), "link", "set", "cluster", "up"},
			{"-n", n.namespace(i), "link", "set", "clients", "up"},
			{"-n", n.namespace(i), "link", "set", "lo", "up"},
		} {
			if err := command("ip", line...); err != nil {
				return n, fmt.Errorf("%w: no network namespaces here: %w", errLeftOut, err)
			}
		}
	}
	return n, nil
}

func (n *network) bridge() string         { return n.prefix + "b" }
func (n *network) namespace(i int) string { return fmt.Sprintf("%sn%d", n.prefix, i+1) }
func (n *network) cable(i int) string     { return fmt.Sprintf("%sc%d", n.prefix, i+1) }
func (n *network) line(i int) string      { return fmt.Sprintf("%sl%d", n.prefix, i+1) }

func (n *network) address(third, last int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n.octet), byte(third), byte(last)})
}

// host is where the other machines find one, inside where clients do.
func (n *network) host(i int) netip.Addr    { return n.address(0, 11+i) }
func (n *network) inside(i int) netip.Addr  { return n.address(11+i, 2) }
func (n *network) outside(i int) netip.Addr { return n.address(11+i, 1) }

// wrap is what stands before a command that runs on the machine.
func (n *network) wrap(i int) []string { return []string{"ip", "netns", "exec", n.namespace(i)} }

// cut pulls a machine's cable to the switch: what is sent vanishes. Clients still
// reach it.
func (n *network) cut(i int) error { return command("ip", "link", "set", n.cable(i), "down") }

func (n *network) heal(i int) error { return command("ip", "link", "set", n.cable(i), "up") }

// close removes everything; cables go with their namespace.
func (n *network) close() error {
	var errs []error
	for i := range n.nodes {
		if _, err := os.Stat("/run/netns/" + n.namespace(i)); err == nil {
			errs = append(errs, command("ip", "netns", "del", n.namespace(i)))
		}
	}
	if _, err := os.Stat("/sys/class/net/" + n.bridge()); err == nil {
		errs = append(errs, command("ip", "link", "del", n.bridge()))
	}
	return errors.Join(errs...)
}
