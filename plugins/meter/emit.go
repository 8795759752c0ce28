package meter

import "github.com/weftrun/weft/plugins/module"

// What a rewritten function looks like:
//
//	locals, one more of type i64, and one of type i32 if there are bulk instructions
//	block                   ; the cold exit: fuel or depth is spent
//	  block                 ; one for each check, if there are several
//	    block (results)     ; takes the place of the function's own label
//	      ... the function, with what was added ...
//	    end
//	    depth += weight     ; if it counts the depth
//	    return
//	  end
//	  br 0                  ; to the cold exit
//	end
//	fuel -= 1<<62           ; says that it was the meter that trapped
//	unreachable
//	end
//
// The labels of the function keep their numbers. Each check leaves by a label of
// its own because the compiler joins a comparison with its branch only if nothing
// else leads where the branch leads, and places code in the order of the source:
// so the check is a comparison and a jump that is not taken.
type emitter struct {
	b           []byte
	fuel, depth uint64
	left, size  uint64 // indices of the added locals
	exits       int    // labels of checks
	used        int    // how many of them are taken
}

// emitBodies writes the functions; w.out.buf has the content of the code section
// then.
func (w *rewriter) emitBodies() error {
	if len(w.bodies) == 0 {
		return nil
	}
	w.shapes = make(map[string]uint32)
	out := uleb(make([]byte, 0, len(w.wasm)+len(w.wasm)/4), uint64(len(w.bodies)))
	e := emitter{fuel: w.fuel(), depth: w.depth()}
	for i := range w.bodies {
		e.b = e.b[:0]
		w.emit(&e, i)
		out = uleb(out, uint64(len(e.b)))
		out = append(out, e.b...)
	}
	w.out.buf = out
	return nil
}

func (w *rewriter) emit(e *emitter, i int) {
	b := &w.bodies[i]
	results := w.mod.Types[w.mod.Funcs[i]].Results
	e.left, e.size = uint64(b.count), uint64(b.count)+1
	e.locals(b)
	e.exits, e.used = exits(b), 0
	for range 1 + e.exits {
		e.b = append(e.b, opBlock, 0x40)
	}
	e.b = append(e.b, opBlock)
	e.b = w.appendResults(e.b, results)
	if b.cycles {
		e.add(e.depth, -b.weight)
	}
	at := b.start
	for j := range b.events {
		ev := &b.events[j]
		e.b = append(e.b, w.wasm[at:ev.at]...)
		at = ev.at
		switch ev.kind {
		case debit:
			if ev.cost > 0 {
				e.add(e.fuel, -ev.cost)
				w.report.Debits++
			}
		case check:
			e.check(ev, b.cycles && j == 0)
			w.report.Checks++
		case returns:
			if b.cycles {
				e.b = uleb(append(e.b, opBr), uint64(ev.depth))
				at++
			}
		default:
			e.bulk(ev, w.report.MaxPages)
			w.report.Checks++
		}
	}
	e.b = append(e.b, w.wasm[at:b.end]...) // its last end closes the inner block
	if b.cycles {
		e.add(e.depth, b.weight)
	}
	e.b = append(e.b, opReturn)
	for i := e.exits; i > 0; i-- {
		e.b = uleb(append(e.b, opEnd, opBr), uint64(i-1))
	}
	e.b = append(e.b, opEnd)
	e.add(e.fuel, -exhausted)
	e.b = append(e.b, opUnreachable, opEnd)
}

// exits is how many labels the checks of a function get.
func exits(b *body) int {
	n := 0
	for i := range b.events {
		if b.events[i].kind != debit && b.events[i].kind != returns {
			n++
		}
	}
	if n == 1 {
		return 0
	}
	return min(n, maxExits)
}

func (e *emitter) locals(b *body) {
	n := len(b.locals) + 1
	if b.scratch {
		n++
	}
	e.b = uleb(e.b, uint64(n))
	for _, r := range b.locals {
		e.b = append(uleb(e.b, uint64(r.n)), byte(r.t))
	}
	e.b = append(e.b, 1, byte(typeI64))
	if b.scratch {
		e.b = append(e.b, 1, byte(typeI32))
	}
}

// add adds to a global.
func (e *emitter) add(global uint64, n int64) {
	e.b = uleb(append(e.b, opGlobalGet), global)
	e.sum(n)
	e.b = uleb(append(e.b, opGlobalSet), global)
}

// sum adds a constant to what is on the stack; the compiler folds positive ones.
func (e *emitter) sum(n int64) {
	op := byte(opI64Add)
	if n < 0 {
		n, op = -n, opI64Sub
	}
	e.b = append(sleb(append(e.b, opI64Const), n), op)
}

// check takes fuel and looks whether some is left, and at the function's entry
// whether depth is.
func (e *emitter) check(ev *event, depth bool) {
	e.b = uleb(append(e.b, opGlobalGet), e.fuel)
	e.sum(-ev.cost)
	e.look(ev, depth)
}

// look stores what is on the stack as the fuel that is left, and leaves where
// that is negative.
func (e *emitter) look(ev *event, depth bool) {
	e.b = uleb(append(e.b, opLocalTee), e.left)
	e.b = uleb(append(e.b, opGlobalSet), e.fuel)
	e.b = uleb(append(e.b, opLocalGet), e.left)
	if depth {
		e.b = uleb(append(e.b, opGlobalGet), e.depth)
		e.b = append(e.b, opI64Or)
	}
	e.b = append(e.b, opI64Const, 0, opI64LtS)
	e.b = uleb(append(e.b, opBrIf), uint64(ev.depth)+1+uint64(e.used))
	e.used = min(e.used+1, e.exits) // the last label is the cold exit itself
}

// bulk takes what an instruction costs for the length that lies on top of the
// stack, which stays there.
func (e *emitter) bulk(ev *event, most uint32) {
	e.b = uleb(append(e.b, opLocalTee), e.size)
	e.b = uleb(append(e.b, opGlobalGet), e.fuel)
	e.sum(-ev.cost)
	e.b = uleb(append(e.b, opLocalGet), e.size)
	switch ev.kind {
	case bytes4:
		e.b = append(e.b, opI64ExtendU, opI64Const, 2, opI64ShrU)
	case pages: // nothing for what will fail
		e.b = append(e.b, opI32Const, 0)
		e.b = uleb(append(e.b, opLocalGet), e.size)
		e.b = sleb(append(e.b, opI32Const), int64(most))
		e.b = append(e.b, opMemorySize, 0, opI32Sub, opI32LeU, opSelect, opI64ExtendU)
		e.b = sleb(append(e.b, opI64Const), costPage)
		e.b = append(e.b, opI64Mul)
	default:
		e.b = append(e.b, opI64ExtendU)
	}
	e.b = append(e.b, opI64Sub)
	e.look(ev, false)
}

// appendResults appends the type of a block with these results: none, one, or a
// type of its own.
func (w *rewriter) appendResults(b []byte, results []module.ValueType) []byte {
	switch len(results) {
	case 0:
		return append(b, 0x40)
	case 1:
		return append(b, byte(results[0]))
	}
	key := make([]byte, len(results))
	for i, r := range results {
		key[i] = byte(r)
	}
	index, ok := w.shapes[string(key)]
	if !ok {
		index = uint32(len(w.mod.Types) + len(w.added))
		w.shapes[string(key)] = index
		w.added = append(w.added, results)
	}
	return sleb(b, int64(index))
}
