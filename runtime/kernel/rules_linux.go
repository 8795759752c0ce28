package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"github.com/weftrun/weft/runtime/filter"
)

// listenerBits are those of a rule's key before the address.
const listenerBits = 32

// ruleKey is a rule: of a listener, by its identifier in the kernel (or in the policy
// while it waits), and a prefix.
type ruleKey struct {
	listener uint16
	prefix   netip.Prefix
}

// ruleBook knows which rules are in the kernel.
type ruleBook struct {
	have    map[ruleKey]struct{}
	size    [2]int // by family
	of      [filter.MaxListeners][2]int
	waiting map[ruleKey]filter.Entry // for listeners that are not there yet
}

func (b *ruleBook) start() {
	b.have, b.waiting = map[ruleKey]struct{}{}, map[ruleKey]filter.Entry{}
}

func (b *ruleBook) total() int { return len(b.have) + len(b.waiting) }

func (b *ruleBook) add(key ruleKey) {
	if _, ok := b.have[key]; ok {
		return
	}
	f := family(key.prefix.Addr())
	b.have[key] = struct{}{}
	b.size[f]++
	b.of[key.listener][f]++
}

func (b *ruleBook) remove(key ruleKey) {
	if _, ok := b.have[key]; !ok {
		return
	}
	f := family(key.prefix.Addr())
	delete(b.have, key)
	b.size[f]--
	b.of[key.listener][f]--
}

// Put adds or replaces entries; see filter.Enforcer. It returns ErrFull, having put
// none, if there is no room for all. Those of an ID without a listener wait for it.
func (k *Kernel) Put(list []filter.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	if err := k.room(list); err != nil {
		return err
	}
	var now []filter.Entry
	for _, entry := range list {
		id, ok := k.names.kernelOf[entry.Listener]
		if !ok {
			k.rules.waiting[ruleKey{entry.Listener, entry.Prefix}] = entry
			continue
		}
		entry.Listener = id
		now = append(now, entry)
	}
	return k.put(now)
}

// room tells whether there is room for all, and whether they are in order.
func (k *Kernel) room(list []filter.Entry) error {
	size := k.rules.size
	for key := range k.rules.waiting {
		size[family(key.prefix.Addr())]++
	}
	fresh := map[ruleKey]struct{}{}
	for i := range list {
		prefix := list[i].Prefix
		if !prefix.IsValid() || prefix.Masked() != prefix || prefix.Addr().Is4In6() || list[i].Listener >= filter.MaxListeners {
			return fmt.Errorf("kernel: %s for listener %d is no entry", prefix, list[i].Listener)
		}
		key := ruleKey{list[i].Listener, prefix}
		_, known := k.rules.waiting[key]
		if id, ok := k.names.kernelOf[key.listener]; ok {
			_, known = k.rules.have[ruleKey{id, prefix}]
		}
		if _, again := fresh[key]; known || again {
			continue
		}
		fresh[key] = struct{}{}
		size[family(prefix.Addr())]++
	}
	if most := max(size[0], size[1]); most > k.options.Entries {
		return fmt.Errorf("%w: %d of %d: raise entries in the kernel block", ErrFull, most, k.options.Entries)
	}
	return nil
}

// put writes entries whose listeners are those of the kernel.
func (k *Kernel) put(list []filter.Entry) error {
	var keys4 []weftKey4
	var keys6 []weftKey6
	var values4, values6 []weftRule
	if len(list) == 0 {
		return nil
	}
	clock, err := k.clock()
	if err != nil {
		return err
	}
	for i := range list {
		value := clock.rule(&list[i])
		if list[i].Prefix.Addr().Is4() {
			keys4, values4 = append(keys4, key4(&list[i])), append(values4, value)
		} else {
			keys6, values6 = append(keys6, key6(&list[i])), append(values6, value)
		}
	}
	err = errors.Join(putAll(k.objects.Rules4, keys4, values4), putAll(k.objects.Rules6, keys6, values6))
	if err != nil {
		return errors.Join(fmt.Errorf("kernel: writing entries: %w", err), k.recallRules())
	}
	for i := range list {
		k.rules.add(ruleKey{list[i].Listener, list[i].Prefix})
	}
	return k.writeHas()
}

// putAll writes entries of one family, by one system call where the kernel can.
func putAll[K any](to *ebpf.Map, keys []K, values []weftRule) error {
	if len(keys) == 0 {
		return nil
	}
	if len(keys) > 1 {
		if _, err := to.BatchUpdate(keys, values, nil); !errors.Is(err, ebpf.ErrNotSupported) {
			return err
		}
	}
	for i := range keys {
		if err := to.Put(&keys[i], &values[i]); err != nil {
			return err
		}
	}
	return nil
}

// putWaiting writes what waited for listeners that come now, and what comes with them.
func (k *Kernel) putWaiting(next *ids, with []filter.Entry) error {
	var list []filter.Entry
	var keys []ruleKey
	for key, entry := range k.rules.waiting {
		if id, ok := next.kernelOf[key.listener]; ok {
			entry.Listener = id
			list, keys = append(list, entry), append(keys, key)
		}
	}
	for _, entry := range with {
		if id, ok := next.kernelOf[entry.Listener]; ok {
			entry.Listener = id
			list = append(list, entry)
		}
	}
	if err := k.put(list); err != nil {
		return err
	}
	for _, key := range keys {
		delete(k.rules.waiting, key)
	}
	return nil
}

// Delete removes entries; see filter.Enforcer.
func (k *Kernel) Delete(list []filter.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	var keys []ruleKey
	for i := range list {
		id, ok := k.names.kernelOf[list[i].Listener]
		if !ok {
			delete(k.rules.waiting, ruleKey{list[i].Listener, list[i].Prefix})
			continue
		}
		keys = append(keys, ruleKey{id, list[i].Prefix})
	}
	return k.remove(keys)
}

func (k *Kernel) remove(keys []ruleKey) error {
	for _, key := range keys {
		if _, ok := k.rules.have[key]; !ok {
			continue
		}
		entry := filter.Entry{Listener: key.listener, Prefix: key.prefix}
		var err error
		if key.prefix.Addr().Is4() {
			name := key4(&entry)
			err = k.objects.Rules4.Delete(&name)
		} else {
			name := key6(&entry)
			err = k.objects.Rules6.Delete(&name)
		}
		if err != nil && !isMissing(err) {
			return fmt.Errorf("kernel: removing entries: %w", err)
		}
		k.rules.remove(key)
	}
	return k.writeHas()
}

// dropRules removes all rules of a listener.
func (k *Kernel) dropRules(id uint16) error {
	var keys []ruleKey
	for key := range k.rules.have {
		if key.listener == id {
			keys = append(keys, key)
		}
	}
	return k.remove(keys)
}

// writeHas tells the programs which listeners have rules. Rules are there before.
func (k *Kernel) writeHas() error {
	state := k.state
	clear(state.Has[:])
	for id, of := range k.rules.of {
		for f, n := range of {
			if n > 0 {
				state.Has[2*id+f] = 1
			}
		}
	}
	if state == k.state {
		return nil
	}
	if err := k.objects.State.Put(uint32(0), &state); err != nil {
		return fmt.Errorf("kernel: writing entries: %w", err)
	}
	k.state = state
	return nil
}

// Kept tells what an earlier process has left in force; see filter.Keeper. After
// Listeners it tells what is in force now.
func (k *Kernel) Kept() ([]filter.Listener, []filter.Entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, nil, errClosed
	}
	var listeners []filter.Listener
	var entries []filter.Entry
	for id, name := range k.names.name {
		if policy, ok := k.names.policyOf[uint16(id)]; ok {
			listeners = append(listeners, filter.Listener{ID: policy, Name: name})
		}
	}
	now := time.Now()
	err := k.eachRule(func(key ruleKey, entry filter.Entry) {
		id, ok := k.names.policyOf[key.listener]
		if ok && (entry.Until.IsZero() || entry.Until.After(now)) {
			entry.Listener = id
			entries = append(entries, entry)
		}
	})
	return listeners, entries, err
}

// eachRule reads all rules.
func (k *Kernel) eachRule(do func(ruleKey, filter.Entry)) error {
	clock, err := k.clock()
	if err != nil {
		return err
	}
	var value weftRule
	var name4 weftKey4
	all := k.objects.Rules4.Iterate()
	for all.Next(&name4, &value) {
		entry := clock.entry(name4.Listener, netip.PrefixFrom(netip.AddrFrom4(name4.Address), int(name4.Bits)-listenerBits), &value)
		do(ruleKey{entry.Listener, entry.Prefix}, entry)
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("kernel: reading the entries: %w", err)
	}
	var name6 weftKey6
	all = k.objects.Rules6.Iterate()
	for all.Next(&name6, &value) {
		entry := clock.entry(name6.Listener, netip.PrefixFrom(netip.AddrFrom16(name6.Address), int(name6.Bits)-listenerBits), &value)
		do(ruleKey{entry.Listener, entry.Prefix}, entry)
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("kernel: reading the entries: %w", err)
	}
	return nil
}

// recallRules learns which rules the kernel has. Those of nobody are removed.
func (k *Kernel) recallRules() error {
	waiting := k.rules.waiting
	k.rules = ruleBook{}
	k.rules.start()
	k.rules.waiting = waiting
	var stray []ruleKey
	err := k.eachRule(func(key ruleKey, _ filter.Entry) {
		k.rules.add(key)
		if k.names.name[key.listener&(filter.MaxListeners-1)] == "" {
			stray = append(stray, key)
		}
	})
	if err != nil {
		return err
	}
	return k.remove(stray)
}

func key4(entry *filter.Entry) weftKey4 {
	return weftKey4{Bits: listenerBits + uint32(entry.Prefix.Bits()), Listener: entry.Listener, Address: entry.Prefix.Addr().As4()}
}

func key6(entry *filter.Entry) weftKey6 {
	return weftKey6{Bits: listenerBits + uint32(entry.Prefix.Bits()), Listener: entry.Listener, Address: entry.Prefix.Addr().As16()}
}

// clock relates the wall clock to the one that the programs have.
type clock struct {
	wall time.Time
	now  int64 // the programs' time at wall, in ns
}

// clock asks the programs what time it is.
func (k *Kernel) clock() (clock, error) {
	if _, err := k.objects.WeftNow.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
		return clock{}, fmt.Errorf("kernel: asking for the time: %w", err)
	}
	var now uint64
	if err := k.objects.Now.Lookup(uint32(0), &now); err != nil {
		return clock{}, fmt.Errorf("kernel: asking for the time: %w", err)
	}
	return clock{wall: time.Now(), now: int64(now)}, nil
}

func (c clock) rule(entry *filter.Entry) weftRule {
	made := weftRule{Action: uint8(entry.Action), Reason: uint8(entry.Reason), Bits: uint16(listenerBits + entry.Prefix.Bits()),
		Author: uint8(entry.Author)}
	if !entry.Until.IsZero() {
		made.Until = uint64(max(c.now+int64(max(entry.Until.Sub(c.wall), time.Duration(-c.now))), 1))
	}
	return made
}

func (c clock) entry(listener uint16, prefix netip.Prefix, value *weftRule) filter.Entry {
	made := filter.Entry{Listener: listener, Prefix: prefix, Action: filter.Action(value.Action), Reason: filter.Reason(value.Reason),
		Author: filter.Author(value.Author)}
	if value.Until != 0 {
		made.Until = c.wall.Add(time.Duration(int64(value.Until) - c.now))
	}
	return made
}
