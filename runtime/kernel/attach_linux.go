package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// hook is one interface that the options name, attached or not.
type hook struct {
	Attachment
	link link.Link
	left bool // Detach took weft off it: until the next start
}

// close gives the descriptor back; what is pinned stays attached.
func (h *hook) close() error {
	if h.link == nil {
		return nil
	}
	err := h.link.Close()
	h.link = nil
	return err
}

// modes are the ways to attach to the device, the best first.
func (k *Kernel) modes(d device) []string {
	if k.options.Mode != Auto {
		return []string{k.options.Mode}
	}
	if !d.ethernet {
		return []string{TC}
	}
	return []string{Native, Generic, TC}
}

// program is the one for a mode.
func (k *Kernel) program(mode string, d device) *ebpf.Program {
	switch {
	case mode != TC:
		return k.objects.WeftXdp
	case d.ethernet:
		return k.objects.WeftTcx
	}
	return k.objects.WeftTcxIp
}

// attachAll attaches to every interface, and takes weft off those that the options do
// not name any more. It fails if it is on none.
func (k *Kernel) attachAll() error {
	list, err := devices()
	if err != nil {
		return err
	}
	var problems []string
	attached := false
	for _, name := range k.options.Interfaces {
		h := &hook{Attachment: Attachment{Interface: name}}
		k.interfaces = append(k.interfaces, h)
		k.attach(h, list)
		if h.link == nil {
			problems = append(problems, h.Problem)
			k.log.Warn("kernel: an interface is not filtered in the kernel", "interface", name, "problem", h.Problem)
			continue
		}
		attached = true
		k.log.Info("kernel: attached", "interface", name, "mode", h.Mode, "pinned", h.Pinned)
	}
	if !attached {
		return fmt.Errorf("%w: %s", ErrUnavailable, strings.Join(problems, "; "))
	}
	return k.dropOthers()
}

// attach attaches to one interface: by a link that an earlier process pinned, whose
// program is replaced in place, or by a new one.
func (k *Kernel) attach(h *hook, list []device) {
	d, ok := lookup(list, h.Interface)
	if !ok {
		h.Attachment = Attachment{Interface: h.Interface, Problem: missing(list, h.Interface)}
		return
	}
	h.Attachment = Attachment{Interface: h.Interface, Index: d.index}
	var problems []string
	old := k.adopt(h, d)
	if h.link == nil {
		for _, mode := range k.modes(d) {
			err := k.attachNew(h, d, mode, &old)
			if err == nil {
				break
			}
			problems = append(problems, fmt.Sprintf("%s: %s: %v", h.Interface, mode, explainAttach(err)))
		}
	}
	if old != "" {
		if err := removeLink(old); err != nil {
			k.log.Warn("kernel: an earlier link stays", "interface", h.Interface, "error", err)
		}
	}
	h.Whole = h.link != nil && h.Mode == Native
	h.Problem = strings.Join(problems, "; ")
	if h.link != nil && k.options.Pin != "" {
		if file := linkFile(k.options.Pin, h.Mode, h.Index); !h.Pinned {
			if err := h.link.Pin(file); err != nil {
				h.Problem = fmt.Sprintf("it cannot be pinned: %v", err)
			} else {
				h.Pinned = true
			}
		}
	}
}

// adopt takes over the pinned link of an interface, if there is one that still works
// and has a mode that the options allow. Else it tells where one is that has to go.
func (k *Kernel) adopt(h *hook, d device) (old string) {
	if k.options.Pin == "" {
		return ""
	}
	for _, mode := range []string{Native, Generic, TC} {
		file := linkFile(k.options.Pin, mode, d.index)
		pinned, err := link.LoadPinnedLink(file, nil)
		if err != nil {
			continue
		}
		allowed := k.options.Mode == Auto || k.options.Mode == mode
		if allowed && h.link == nil && linkIndex(pinned) == d.index && pinned.Update(k.program(mode, d)) == nil {
			h.link, h.Mode, h.Pinned = pinned, mode, true
			continue
		}
		_ = pinned.Close()
		old = file
	}
	return old
}

// attachNew attaches in one mode. What is attached in another, in old, goes only when
// the new one is there, except for two kinds of XDP: an interface takes only one.
func (k *Kernel) attachNew(h *hook, d device, mode string, old *string) error {
	made, err := k.attachOnce(d, mode)
	if err != nil && *old != "" && mode != TC {
		if problem := removeLink(*old); problem == nil {
			k.log.Warn("kernel: not filtered for a moment, while the mode changes", "interface", h.Interface, "mode", mode)
			*old = ""
			made, err = k.attachOnce(d, mode)
		}
	}
	if err != nil {
		return err
	}
	h.link, h.Mode = made, mode
	return nil
}

func (k *Kernel) attachOnce(d device, mode string) (link.Link, error) {
	program := k.program(mode, d)
	switch mode {
	case TC:
		return link.AttachTCX(link.TCXOptions{Interface: d.index, Program: program, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	case Native, Generic:
		if !d.ethernet {
			return nil, errors.New("its packets have no Ethernet header: use tc")
		}
	}
	flags := link.XDPDriverMode
	if mode == Generic {
		flags = link.XDPGenericMode
	}
	return link.AttachXDP(link.XDPOptions{Interface: d.index, Program: program, Flags: flags})
}

// linkIndex is the interface that a link is on; 0 is one that is gone.
func linkIndex(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex)
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex)
	}
	return 0
}

// dropOthers removes the pinned links of interfaces that are not named (any more).
func (k *Kernel) dropOthers() error {
	if k.options.Pin == "" {
		return nil
	}
	files, err := os.ReadDir(linksFolder(k.options.Pin))
	if err != nil {
		return fmt.Errorf("kernel: the pin folder: %w", err)
	}
	wanted := map[string]bool{}
	for _, h := range k.interfaces {
		if h.Pinned {
			wanted[linkFile(k.options.Pin, h.Mode, h.Index)] = true
		}
	}
	for _, file := range files {
		path := filepath.Join(linksFolder(k.options.Pin), file.Name())
		if wanted[path] {
			continue
		}
		if err := removeLink(path); err != nil {
			return fmt.Errorf("kernel: taking weft off an interface that is not named any more: %w", err)
		}
		k.log.Info("kernel: detached", "link", file.Name())
	}
	return nil
}

// watch looks at the interfaces every now and then, until Close.
func (k *Kernel) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-k.stop:
			return
		case <-ticker.C:
			k.look()
		}
	}
}

// look attaches again to what went away and came back, and says what went away.
func (k *Kernel) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	list, err := devices()
	if err != nil {
		k.log.Warn("kernel: the interfaces cannot be listed", "error", err)
		return
	}
	for _, h := range k.interfaces {
		d, there := lookup(list, h.Interface)
		if h.link != nil && there && d.index == h.Index && linkIndex(h.link) == h.Index {
			continue
		}
		if h.left || h.link == nil && !there {
			continue
		}
		if h.link != nil && there && d.index == h.Index && h.Pinned && !exists(linkFile(k.options.Pin, h.Mode, h.Index)) {
			k.leave(h)
			continue
		}
		if h.link != nil {
			k.log.Warn("kernel: an interface is gone, or weft was taken off it", "interface", h.Interface)
			if h.Pinned {
				_ = h.link.Unpin()
			}
			_ = h.close()
		}
		before := h.Problem
		k.attach(h, list)
		if h.link != nil {
			k.log.Info("kernel: attached", "interface", h.Interface, "mode", h.Mode, "pinned", h.Pinned)
		} else if there && h.Problem != before {
			k.log.Warn("kernel: an interface is not filtered in the kernel", "interface", h.Interface, "problem", h.Problem)
		}
	}
}

// leave lets go of an interface that Detach took weft off: who did so wants no packet
// dropped there.
func (k *Kernel) leave(h *hook) {
	_ = h.close()
	h.left, h.Mode, h.Whole, h.Pinned = true, "", false, false
	h.Problem = "weft was taken off it by \"weft fastpath detach\"; it is attached when weft is started again"
	k.log.Warn("kernel: weft was detached, and leaves the interface alone until it is started again", "interface", h.Interface)
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, os.ErrNotExist)
}

// explainAttach says what an error of attaching means.
func explainAttach(err error) error {
	switch {
	case errors.Is(err, os.ErrExist), isBusy(err):
		return fmt.Errorf("another XDP program is attached (ip link shows it): %w", err)
	case isUnsupported(err):
		return fmt.Errorf("the driver does not support it: %w", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("not permitted (CAP_NET_ADMIN): %w", err)
	}
	return err
}
