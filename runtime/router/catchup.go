package router

// maxScans is for how many changes the signatures of all topics are looked
// through at once before it is cheaper to match them anew.
const maxScans = 256

// watch has the trie note its changes and returns the version from which on it does.
func (t *Trie[T]) watch() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.log.Load() == nil {
		t.log.Store(new(changes))
	}
	return t.version.Load()
}

// catchUp takes everything out that the changes up to the version outdate. What
// is left was matched when they could all be seen, or is not touched by those that
// came later: it is as good as matched now.
func (c *Cache[T]) catchUp(version uint64) {
	from := c.version
	c.version = version
	if c.stats.Topics == 0 {
		return
	}
	if version-from > logSize {
		c.forget()
		return
	}
	log := c.trie.log.Load()
	for v, scans := from+1, 0; v <= version; v++ {
		change := log.at(v)
		if change == nil {
			c.forget()
			return
		}
		switch {
		case change.literal:
			c.outdateTopic(change.topic)
		case c.index.may(change):
			if scans++; scans > maxScans {
				c.forget()
				return
			}
			c.outdate(change)
		}
	}
}

// forget clears the cache because it is too far behind.
func (c *Cache[T]) forget() {
	c.clear()
	c.stats.Cleared++
}

// outdateTopic takes out the topic with that hash.
func (c *Cache[T]) outdateTopic(hash uint64) {
	base := c.neighbourhood(hash)
	for i := range ways {
		if s := &c.slots[base+i]; s.hash == hash && s.size > 0 {
			c.evict(base + i)
			c.stats.Outdated++
		}
	}
}

// outdate takes out every topic that the pattern matches.
func (c *Cache[T]) outdate(change *change) {
	for at := c.index.next(0, change); at >= 0; at = c.index.next(at+1, change) {
		if change.pattern == nil || covers(change.pattern, c.slots[at].topic) {
			c.evict(at)
			c.stats.Outdated++
		}
	}
}
