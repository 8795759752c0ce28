package config

// Blank tells whether nothing stands in the document that the configuration came from:
// no byte, or comments alone. Without a document it is false.
func (c *Config) Blank() bool { return c.origin != nil && c.origin.blank }

// Emptied tells why the configuration must not take the place of the one that runs: its
// document is blank, or has no listeners any more and does not say so. Such a file is as a
// rule one that is being written, or that found its disk full, and it would end everything.
// Nil: it may. A document that says "listeners: []" may leave none.
func (c *Config) Emptied(running *Config) error {
	p := Problem{
		Cause: "the file would leave no listener", Found: "no listener", File: c.File(),
		Fix: "if weft is to listen nowhere, write listeners: []; else write the file whole, best to another name, and rename it",
	}
	switch {
	case c.Blank() && !running.Blank():
		p.Cause, p.Found = "the file is empty", "nothing but comments at most"
	case len(c.Listeners) > 0 || len(running.Listeners) == 0 || c.saysNone("listeners"):
		return nil
	}
	return Problems{p}
}

// saysNone tells whether a list is written and is empty. A key without a value does not say
// that: what follows it may be missing.
func (c *Config) saysNone(key string) bool {
	if c.origin == nil {
		return true
	}
	list, written := c.origin.tree[key].([]any)
	return written && len(list) == 0
}
