package kernel

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// device is a network interface of this machine.
type device struct {
	name     string
	index    int
	ethernet bool // else its packets begin with IP
}

// Kinds of hardware whose frames begin with an Ethernet header (if_arp.h).
const (
	hardwareEthernet = 1
	hardwareLoopback = 772
)

// attributeName is the attribute that has an interface's name.
const attributeName = 3 // IFLA_IFNAME

// devices lists the network interfaces, from the kernel itself: /sys may be that of
// another network namespace.
func devices() ([]device, error) {
	answer, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("kernel: listing the interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return nil, fmt.Errorf("kernel: listing the interfaces: %w", err)
	}
	var list []device
	for i := range messages {
		message := &messages[i]
		if message.Header.Type != syscall.RTM_NEWLINK || len(message.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		info := (*syscall.IfInfomsg)(unsafe.Pointer(&message.Data[0]))
		found := device{index: int(info.Index), ethernet: info.Type == hardwareEthernet || info.Type == hardwareLoopback}
		attributes, err := syscall.ParseNetlinkRouteAttr(message)
		if err != nil {
			return nil, fmt.Errorf("kernel: listing the interfaces: %w", err)
		}
		for _, attribute := range attributes {
			if attribute.Attr.Type == attributeName {
				found.name = strings.TrimRight(string(attribute.Value), "\x00")
			}
		}
		list = append(list, found)
	}
	return list, nil
}

// lookup finds an interface by its name.
func lookup(list []device, name string) (device, bool) {
	i := slices.IndexFunc(list, func(d device) bool { return d.name == name })
	if i < 0 {
		return device{}, false
	}
	return list[i], true
}

// missing says that there is no such interface, and which there are.
func missing(list []device, name string) string {
	names := make([]string, 0, len(list))
	for _, d := range list {
		names = append(names, d.name)
	}
	slices.Sort(names)
	near := ""
	for _, other := range names {
		if distance(name, other) <= 2 && (near == "" || distance(name, other) < distance(name, near)) {
			near = other
		}
	}
	if near != "" {
		return fmt.Sprintf("there is no interface %q; did you mean %q? (there are %s)", name, near, strings.Join(names, ", "))
	}
	return fmt.Sprintf("there is no interface %q; there are %s", name, strings.Join(names, ", "))
}

// distance is how many letters one has to add, remove or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
