package mqtt

// idTable finds slots by packet id: open addressing, linear probing. It grows to
// twice what is in it and is never larger than that; the packet ids of MQTT are
// 1 to 65,535, so 0 is an empty place.
type idTable struct {
	places []idPlace
	n      int
}

type idPlace struct{ id, slot uint16 }

// home scatters ids, of which peers choose every one.
func (t *idTable) home(id uint16) int {
	return int(uint32(id)*0x9E3779B1>>8) & (len(t.places) - 1)
}

func (t *idTable) find(id uint16) (slot uint16, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	for i := t.home(id); ; i = (i + 1) & (len(t.places) - 1) {
		switch t.places[i].id {
		case id:
			return t.places[i].slot, true
		case 0:
			return 0, false
		}
	}
}

// insert adds an id that is not there.
func (t *idTable) insert(id, slot uint16) {
	if 2*(t.n+1) > len(t.places) {
		old := t.places
		t.places = make([]idPlace, max(8, 2*len(old)))
		for _, p := range old {
			if p.id != 0 {
				t.put(p)
			}
		}
	}
	t.put(idPlace{id, slot})
	t.n++
}

func (t *idTable) put(p idPlace) {
	i := t.home(p.id)
	for t.places[i].id != 0 {
		i = (i + 1) & (len(t.places) - 1)
	}
	t.places[i] = p
}

// remove takes an id out that is there, and moves back what was pushed behind
// it (Knuth, The Art of Computer Programming 3, section 6.4, algorithm R).
func (t *idTable) remove(id uint16) {
	mask := len(t.places) - 1
	gap := t.home(id)
	for t.places[gap].id != id {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; t.places[i].id != 0; i = (i + 1) & mask {
		if home := t.home(t.places[i].id); (i-home)&mask >= (i-gap)&mask {
			t.places[gap] = t.places[i]
			gap = i
		}
	}
	t.places[gap] = idPlace{}
	t.n--
}
