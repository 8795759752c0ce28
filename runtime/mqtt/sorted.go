package mqtt

import "sort"

// sorted keeps retained messages in the order of their keys, in blocks: an
// insertion moves at most one block's entries, and now and then the blocks'.
type sorted struct {
	blocks [][]*retained // none is empty
	n      int
}

const blockLen = 256

func (s *sorted) at(block, i int) *retained { return s.blocks[block][i] }

// find returns the place of the key, or where it belongs: the place of the
// first entry that is not less. Behind all others block is len(blocks).
func (s *sorted) find(key string) (block, i int, found bool) {
	block = sort.Search(len(s.blocks), func(b int) bool {
		last := s.blocks[b]
		return last[len(last)-1].key >= key
	})
	if block == len(s.blocks) {
		return block, 0, false
	}
	entries := s.blocks[block]
	i = sort.Search(len(entries), func(i int) bool { return entries[i].key >= key })
	return block, i, entries[i].key == key
}

// next is the place behind this one.
func (s *sorted) next(block, i int) (int, int) {
	if i+1 < len(s.blocks[block]) {
		return block, i + 1
	}
	return block + 1, 0
}

// insert puts the entry where find has said.
func (s *sorted) insert(block, i int, r *retained) {
	s.n++
	if block == len(s.blocks) {
		if block == 0 {
			s.blocks = append(s.blocks, make([]*retained, 0, blockLen))
		} else {
			block--
		}
		i = len(s.blocks[block])
	}
	if len(s.blocks[block]) == blockLen {
		s.split(block)
		if half := len(s.blocks[block]); i > half {
			block, i = block+1, i-half
		}
	}
	entries := append(s.blocks[block], nil)
	copy(entries[i+1:], entries[i:])
	entries[i] = r
	s.blocks[block] = entries
}

func (s *sorted) split(block int) {
	full := s.blocks[block]
	half := make([]*retained, blockLen/2, blockLen)
	copy(half, full[blockLen/2:])
	clear(full[blockLen/2:])
	s.blocks = append(s.blocks, nil)
	copy(s.blocks[block+2:], s.blocks[block+1:])
	s.blocks[block], s.blocks[block+1] = full[:blockLen/2], half
}

// remove takes the entry out; an empty block goes, small neighbours become one.
func (s *sorted) remove(block, i int) {
	s.n--
	entries := s.blocks[block]
	copy(entries[i:], entries[i+1:])
	entries[len(entries)-1] = nil
	s.blocks[block] = entries[:len(entries)-1]
	if len(entries) > blockLen/4 {
		return
	}
	if block+1 < len(s.blocks) {
		s.merge(block)
	} else if block > 0 {
		s.merge(block - 1)
	} else if s.n == 0 {
		s.blocks = nil
	}
}

// merge puts a block and the one behind it together, if they fit half a block.
func (s *sorted) merge(block int) {
	a, b := s.blocks[block], s.blocks[block+1]
	if len(a)+len(b) > blockLen/2 {
		return
	}
	s.blocks[block] = append(a, b...)
	copy(s.blocks[block+1:], s.blocks[block+2:])
	s.blocks[len(s.blocks)-1] = nil
	s.blocks = s.blocks[:len(s.blocks)-1]
}
