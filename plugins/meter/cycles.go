package meter

// findCycles marks the functions that count the depth: those that lie on a cycle
// of calls, where a call through a table may reach every function of its type that
// a reference exists to. A chain of calls without a cycle is as long as the module
// has functions at most, and each of them runs once.
func (w *rewriter) findCycles() error {
	functions := len(w.functions)
	// Types that are equal are the same to call_indirect.
	canonical := make([]int32, len(w.mod.Types))
	seen := make(map[string]int32, len(w.mod.Types))
	for i, t := range w.mod.Types {
		key := make([]byte, 0, len(t.Params)+len(t.Results)+1)
		for _, p := range t.Params {
			key = append(key, byte(p))
		}
		key = append(key, 0)
		for _, r := range t.Results {
			key = append(key, byte(r))
		}
		first, ok := seen[string(key)]
		if !ok {
			first = int32(i)
			seen[string(key)] = first
		}
		canonical[i] = first
	}
	// Nodes: functions, then types, which stand for a call through a table.
	targets := make([][]uint32, len(w.mod.Types))
	for f := w.imported; f < functions; f++ {
		if w.taken[f] {
			t := canonical[w.functions[f]]
			targets[t] = append(targets[t], uint32(f))
		}
	}
	t := tarjan{
		state: make([]tarjanState, functions+len(w.mod.Types)),
		next: func(node uint32, visit func(uint32)) {
			if int(node) >= functions {
				for _, f := range targets[int(node)-functions] {
					visit(f)
				}
				return
			}
			if int(node) < w.imported {
				return
			}
			b := &w.bodies[int(node)-w.imported]
			for _, f := range b.calls {
				visit(f)
			}
			for _, i := range b.indirect {
				visit(uint32(functions) + uint32(canonical[i]))
			}
		},
	}
	for i := range w.bodies {
		t.run(uint32(w.imported + i))
	}
	for i := range w.bodies {
		b := &w.bodies[i]
		if b.cycles = t.state[w.imported+i].cycle; b.cycles {
			w.report.Counted++
		}
	}
	w.report.UsesDepth = w.report.Counted > 0
	return nil
}
