package mqtt

import "slices"

// idSets keeps the subscription identifiers of entries that have more than one:
// the same identifiers once, counted.
//
// A client gets the identifiers of all its subscriptions that match (MQTT 5.0,
// MQTT-3.3.4-4), so there is no bound of how many a message may have but how many
// subscriptions a session may. What they take is bounded instead, as messages are: a
// set counts in the bytes of each session that uses it, and once in the budget.
type idSets struct {
	budget *Budget
	sets   []idSet
	free   []uint32
	spare  int       // free slots that have kept their memory
	recent [4]uint32 // indices + 1 that are tried before a new set is made
	turn   uint8
}

type idSet struct {
	ids  []uint32
	refs int32
}

// idSetFlag marks an entry's ids as the index of a set. Identifiers themselves
// are below 2^28 (MQTT 5.0, section 3.8.2.1.2).
const idSetFlag = 1 << 31

const (
	// setCost is what a set takes of the budget beside its identifiers, with its
	// place among the free ones.
	setCost = 36
	// spareIDs and maxSpareSets are how much memory free slots keep for the next
	// sets: 64 KiB in all.
	spareIDs     = 16
	maxSpareSets = 1024
)

// idsSize is what so many identifiers count in a session's bytes: one alone is
// in the entry.
func idsSize(n int) int {
	if n < 2 {
		return 0
	}
	return 4 * n
}

// setSize is what a set of so many takes of the budget.
func setSize(n int) int { return setCost + 4*max(n, spareIDs) }

// pack returns what an entry keeps for the identifiers; false if the budget has no
// room for them.
func (s *idSets) pack(ids []uint32) (uint32, bool) {
	switch len(ids) {
	case 0:
		return 0, true
	case 1:
		return ids[0], true
	}
	for _, i := range s.recent {
		if i != 0 && int(i) <= len(s.sets) && s.sets[i-1].refs > 0 && slices.Equal(s.sets[i-1].ids, ids) {
			s.sets[i-1].refs++
			return idSetFlag | (i - 1), true
		}
	}
	if !s.budget.Take(setSize(len(ids))) {
		return 0, false
	}
	i := s.slot()
	set := &s.sets[i]
	if cap(set.ids) < len(ids) {
		set.ids = make([]uint32, 0, max(spareIDs, len(ids)))
	}
	set.ids, set.refs = append(set.ids[:0], ids...), 1
	s.recent[s.turn%uint8(len(s.recent))] = i + 1
	s.turn++
	return idSetFlag | i, true
}

// slot finds a free slot, or makes one.
func (s *idSets) slot() uint32 {
	n := len(s.free)
	if n == 0 {
		s.sets = append(s.sets, idSet{})
		return uint32(len(s.sets) - 1)
	}
	i := s.free[n-1]
	s.free = s.free[:n-1]
	if s.sets[i].ids != nil {
		s.spare--
	}
	return i
}

// unpack appends the identifiers to dst.
func (s *idSets) unpack(packed uint32, dst []uint32) []uint32 {
	switch {
	case packed == 0:
		return dst
	case packed&idSetFlag == 0:
		return append(dst, packed)
	}
	return append(dst, s.sets[packed&^idSetFlag].ids...)
}

// size is what an entry's identifiers count in its session's bytes.
func (s *idSets) size(packed uint32) int {
	if packed&idSetFlag == 0 {
		return 0
	}
	return idsSize(len(s.sets[packed&^idSetFlag].ids))
}

// drop ends an entry's use of its identifiers.
func (s *idSets) drop(packed uint32) {
	if packed&idSetFlag == 0 {
		return
	}
	i := packed &^ idSetFlag
	set := &s.sets[i]
	if set.refs--; set.refs > 0 {
		return
	}
	s.budget.Give(setSize(len(set.ids)))
	s.free = append(s.free, i)
	if cap(set.ids) > spareIDs || s.spare >= maxSpareSets {
		set.ids = nil
	} else {
		s.spare++
	}
	if len(s.free) == len(s.sets) && len(s.sets) > maxSpareSets {
		*s = idSets{budget: s.budget} // none is in use, and there were many
	}
}
