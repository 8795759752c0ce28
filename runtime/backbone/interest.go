package backbone

import (
	"strings"
	"sync"
)

// InterestKind is a sort of things that a node has receivers for.
type InterestKind uint8

// The kinds. What they are called on the way between nodes never changes.
const (
	// InPattern is a topic pattern in canonical spelling that somebody subscribes to.
	InPattern InterestKind = 'p'
	// InShared is a shared subscription: its group's name, a 0 byte, its filter.
	InShared InterestKind = 's'
	// InQueue is a queue group that has members; an empty text stands for any.
	InQueue InterestKind = 'q'
	// InName is a name that a session holds; an empty text stands for any.
	InName InterestKind = 'n'
)

// Interest is one thing that a node has receivers for.
type Interest struct {
	Kind InterestKind
	Text string
}

// kinds is how many there are; index is a kind's place among them.
const kinds = 4

func (k InterestKind) index() int {
	switch k {
	case InPattern:
		return 0
	case InShared:
		return 1
	case InQueue:
		return 2
	case InName:
		return 3
	}
	return -1
}

// depths are how many levels of a pattern are told to others, by how coarse they
// are told it: all, then ever fewer.
var depths = [...]int{-1, 8, 6, 4, 3, 2, 1, 0}

// coarsest is how coarse a kind can become.
func (k InterestKind) coarsest() int {
	switch k {
	case InPattern:
		return len(depths) - 1
	case InQueue, InName:
		return 1 // any
	}
	return 0
}

// fold is what others are told of the interest, told so coarsely: something that
// takes in at least as much.
func (i Interest) fold(coarse int) Interest {
	switch {
	case coarse == 0:
		return i
	case i.Kind == InPattern:
		return Interest{InPattern, foldPattern(i.Text, depths[coarse])}
	}
	return Interest{Kind: i.Kind}
}

// foldPattern keeps the first levels and takes in all below. A pattern whose first
// level begins with '$' keeps that one: no wildcard there takes it in.
func foldPattern(pattern string, levels int) string {
	if levels == 0 {
		if !strings.HasPrefix(pattern, "$") {
			return "#"
		}
		levels = 1
	}
	at := 0
	for range levels {
		next := strings.IndexByte(pattern[at:], '/')
		if next < 0 {
			return pattern
		}
		at += next + 1
	}
	return pattern[:at] + "#"
}

// hash is the same in every process: FNV-1a (Fowler, Noll, Vo), mixed at the end
// (the finaliser of MurmurHash3, Appleby) because digests are sums of it.
func (i Interest) hash() uint64 {
	x := (uint64(14695981039346656037) ^ uint64(i.Kind)) * 1099511628211
	for n := range len(i.Text) {
		x = (x ^ uint64(i.Text[n])) * 1099511628211
	}
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// interests is what a node tells others that it has receivers for. At most so many
// things of each kind are told: beyond that coarser ones that take them in, and what
// cannot be told even so is counted. Any goroutine may use it.
type interests struct {
	mu     sync.Mutex
	most   int // of each kind
	here   map[Interest]uint32
	told   map[Interest]uint32 // how many of here each takes in
	kind   [kinds]kindState
	change map[Interest]bool // told since flush, or not any more
	// As of the last flush:
	version, digest uint64
	size            int
}

// kindState is what there is of one kind.
type kindState struct {
	here, told int
	coarse     int // see fold
	untold     int // of here, for which there is no room
	atRebuild  int // here, when it was last decided how coarse
}

func newInterests(most int) *interests {
	return &interests{most: most, here: map[Interest]uint32{}, told: map[Interest]uint32{}, change: map[Interest]bool{}}
}

// add notes one more receiver; true if others have to be told.
func (s *interests) add(i Interest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here[i]++
	if s.here[i] > 1 {
		return false
	}
	k := &s.kind[i.Kind.index()]
	k.here++
	s.tell(i, k)
	if k.told > s.most {
		s.rebuild(i.Kind, k)
	}
	return len(s.change) > 0
}

// remove takes back an add; true if others have to be told.
func (s *interests) remove(i Interest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := s.here[i]; n {
	case 0:
		return false
	case 1:
		delete(s.here, i)
	default:
		s.here[i] = n - 1
		return false
	}
	k := &s.kind[i.Kind.index()]
	k.here--
	f := i.fold(k.coarse)
	switch n := s.told[f]; n {
	case 0:
		k.untold--
	case 1:
		delete(s.told, f)
		k.told--
		s.changed(f, false)
	default:
		s.told[f] = n - 1
	}
	if (k.coarse > 0 || k.untold > 0) && k.here <= k.atRebuild/2 {
		s.rebuild(i.Kind, k)
	}
	return len(s.change) > 0
}

// tell makes the interest one of those that others are told. While something has no
// room nothing new gets any: what is told has all that it takes in behind it.
func (s *interests) tell(i Interest, k *kindState) {
	f := i.fold(k.coarse)
	n := s.told[f]
	if n == 0 {
		if k.untold > 0 || k.told >= s.most && k.coarse == i.Kind.coarsest() {
			if k.untold++; k.untold == 1 {
				k.atRebuild = k.here
			}
			return
		}
		k.told++
		s.changed(f, true)
	}
	s.told[f] = n + 1
}

// changed notes that others are to be told.
func (s *interests) changed(f Interest, on bool) {
	if before, ok := s.change[f]; ok && before != on {
		delete(s.change, f)
		return
	}
	s.change[f] = on
}

// rebuild decides anew how coarse a kind is told: as fine as leaves a quarter of the
// room. It is called when there is no room, and when half of what was there when it
// was last called is gone, so that it costs each add little.
func (s *interests) rebuild(kind InterestKind, k *kindState) {
	for f := range s.told {
		if f.Kind == kind {
			delete(s.told, f)
			s.changed(f, false)
		}
	}
	k.coarse = s.fitting(kind)
	k.told, k.untold, k.atRebuild = 0, 0, k.here
	for i := range s.here {
		if i.Kind == kind {
			s.tell(i, k)
		}
	}
}

// fitting is how coarse the kind is to be.
func (s *interests) fitting(kind InterestKind) int {
	for coarse := range kind.coarsest() {
		distinct := map[Interest]struct{}{}
		for i := range s.here {
			if i.Kind == kind {
				distinct[i.fold(coarse)] = struct{}{}
			}
			if len(distinct) > s.most*3/4 {
				break
			}
		}
		if len(distinct) <= s.most*3/4 {
			return coarse
		}
	}
	return kind.coarsest()
}

// flush begins a new version, if something has changed, and hands out what is
// different in it. The map is the caller's.
func (s *interests) flush() (changes map[Interest]bool, version, digest uint64, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.change) > 0 {
		changes, s.change = s.change, map[Interest]bool{}
		s.version++
		for f, on := range changes {
			s.digest ^= f.hash()
			if on {
				s.size++
			} else {
				s.size--
			}
		}
	}
	return changes, s.version, s.digest, s.size
}

// flushed is the version that the last flush made, its digest and size.
func (s *interests) flushed() (version, digest uint64, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, s.digest, s.size
}

// all is everything that others were told by the last flush, and the version that it
// made.
func (s *interests) all() (list []Interest, version, digest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.told {
		if on, waits := s.change[f]; !waits || !on {
			list = append(list, f)
		}
	}
	for f, on := range s.change {
		if !on {
			list = append(list, f)
		}
	}
	return list, s.version, s.digest
}

// counts are what is told and what is not, for the metrics.
func (s *interests) counts() (state [kinds]kindState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kind
}

// mirror is what another node has told.
type mirror struct {
	known           bool // it was told everything once
	version, digest uint64
	set             map[Interest]struct{}
}

// apply changes what is known; false if the change does not follow what is known.
func (m *mirror) apply(version uint64, changes []change) (added, removed []Interest, follows bool) {
	if !m.known || version > m.version+1 {
		return nil, nil, false
	}
	if version <= m.version {
		return nil, nil, true // known already
	}
	m.version = version
	for _, c := range changes {
		_, there := m.set[c.Interest]
		switch {
		case c.on && !there:
			m.set[c.Interest] = struct{}{}
			added = append(added, c.Interest)
		case !c.on && there:
			delete(m.set, c.Interest)
			removed = append(removed, c.Interest)
		default:
			continue
		}
		m.digest ^= c.hash()
	}
	return added, removed, true
}

// replace makes the list all that is known, and answers what is different.
func (m *mirror) replace(version uint64, list []Interest) (added, removed []Interest) {
	set := make(map[Interest]struct{}, len(list))
	m.digest = 0
	for _, i := range list {
		if _, twice := set[i]; twice {
			continue
		}
		set[i] = struct{}{}
		m.digest ^= i.hash()
		if _, ok := m.set[i]; !ok {
			added = append(added, i)
		}
	}
	for i := range m.set {
		if _, ok := set[i]; !ok {
			removed = append(removed, i)
		}
	}
	m.set, m.version, m.known = set, version, true
	return added, removed
}
