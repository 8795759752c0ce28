package meter

// tarjan finds the nodes of a graph that lie on a cycle, by Tarjan's algorithm of
// strongly connected components, without recursion.
type tarjan struct {
	next  func(node uint32, visit func(uint32))
	state []tarjanState
	count uint32
	stack []uint32
	path  []tarjanFrame
}

type tarjanState struct {
	index, low uint32 // 0 for not seen
	open       bool   // on the stack
	cycle      bool
}

type tarjanFrame struct {
	node uint32
	next []uint32
}

// run looks at all that can be reached from a node.
func (t *tarjan) run(start uint32) {
	if t.state[start].index != 0 {
		return
	}
	t.enter(start)
	for len(t.path) > 0 {
		f := &t.path[len(t.path)-1]
		s := &t.state[f.node]
		if len(f.next) == 0 {
			t.leave(f.node)
			continue
		}
		n := f.next[0]
		f.next = f.next[1:]
		switch to := &t.state[n]; {
		case n == f.node:
			s.cycle = true
		case to.index == 0:
			t.enter(n)
		case to.open:
			s.low = min(s.low, to.index)
		}
	}
}

func (t *tarjan) enter(node uint32) {
	t.count++
	t.state[node] = tarjanState{index: t.count, low: t.count, open: true}
	t.stack = append(t.stack, node)
	var next []uint32
	t.next(node, func(n uint32) { next = append(next, n) })
	t.path = append(t.path, tarjanFrame{node, next})
}

func (t *tarjan) leave(node uint32) {
	t.path = t.path[:len(t.path)-1]
	s := &t.state[node]
	if len(t.path) > 0 {
		above := &t.state[t.path[len(t.path)-1].node]
		above.low = min(above.low, s.low)
	}
	if s.low != s.index {
		return
	}
	alone := t.stack[len(t.stack)-1] == node
	for {
		n := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		t.state[n].open = false
		t.state[n].cycle = t.state[n].cycle || !alone
		if n == node {
			return
		}
	}
}
