package mqtt

import "slices"

// idSets keeps the subscription identifiers of entries that have more than one:
// the same identifiers once, counted.
type idSets struct {
	sets   []idSet
	free   []uint32
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

// pack returns what an entry keeps for the identifiers.
func (s *idSets) pack(ids []uint32) uint32 {
	switch len(ids) {
	case 0:
		return 0
	case 1:
		return ids[0]
	}
	for _, i := range s.recent {
		if i != 0 && s.sets[i-1].refs > 0 && slices.Equal(s.sets[i-1].ids, ids) {
			s.sets[i-1].refs++
			return idSetFlag | (i - 1)
		}
	}
	var i uint32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = uint32(len(s.sets))
		s.sets = append(s.sets, idSet{})
	}
	set := &s.sets[i]
	set.ids, set.refs = append(set.ids[:0], ids...), 1
	s.recent[s.turn%uint8(len(s.recent))] = i + 1
	s.turn++
	return idSetFlag | i
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

// drop ends an entry's use of its identifiers.
func (s *idSets) drop(packed uint32) {
	if packed&idSetFlag == 0 {
		return
	}
	i := packed &^ idSetFlag
	if s.sets[i].refs--; s.sets[i].refs == 0 {
		s.free = append(s.free, i)
	}
}
