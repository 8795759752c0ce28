package meter

import (
	"fmt"
	"time"

	"github.com/weftrun/weft/plugins/module"
)

// body is what is kept of a function between scanning and emitting.
type body struct {
	start, end int   // of its instructions in the module, the last end included
	locals     []run // what it declares
	count      int   // locals, parameters included
	events     []event
	indirect   []uint32 // types it calls through a table
	calls      []uint32 // functions of the module it calls
	cycles     bool     // it can come to call itself: it counts the depth
	weight     int64    // of a call in depth
	scratch    bool     // it needs an i32 local for the length of a bulk instruction
}

// run is some locals of one type.
type run struct {
	n uint32
	t module.ValueType
}

// event is something to be written before the instruction at a place.
type event struct {
	at    int // offset in the module
	kind  eventKind
	depth uint32 // open blocks there
	cost  int64  // debit, check: fuel; bulk: the fixed part
}

type eventKind uint8

const (
	debit   eventKind = iota // take cost
	check                    // take cost and look
	bytes4                   // a bulk instruction: cost, and 1 for each 4 of the length on the stack
	each                     // cost, and 1 for each of the length
	pages                    // memory.grow
	returns                  // a return of a function that counts the depth
)

// block is a piece of straight-line code.
type block struct {
	at     int // where it begins
	cost   int64
	moves  int64 // values moved into locals and over branches
	event  int32 // its place in the events
	region int32
	first  int32 // of its edges; -1 for none
	in     int32 // edges that lead to it

	// what plan decides
	need, prepay, credit int64
	doomed               bool
}

// edge leads from a block to another; next is the next edge of the same block.
type edge struct{ to, next int32 }

// region is the body of a loop without the loops in it; region 0 is the function.
type region struct {
	parent, head int32
	depth        int32 // loops around its code, itself included
	first        int32 // of its exits, in scratch.exits; -1 for none
	leaves       bool  // it has an exit beyond its parent, or back to its parent's head
	carry        int64
}

// frame is an open block.
type frame struct {
	kind   byte // its instruction's code
	result int32
	param  int32
	region int32
	target int32 // where a branch to it leads: the head of a loop, or what follows; -1 while nothing does
	other  int32 // of an if: the block that ends in the condition, -1 if it is dead
	dead   bool  // it was opened in dead code
}

const exit = 0 // the block that stands for leaving the function

// scratch is what one function needs while it is scanned; it is used again.
type scratch struct {
	blocks  []block
	edges   []edge
	exits   []edge // per region: blocks that its exits lead to
	regions []region
	frames  []frame
	order   []int32 // blocks in the order in which they begin
	events  []event
	buf     []byte
}

// scanner reads one body.
type scanner struct {
	*scratch
	cursor
	w        *rewriter
	function uint32
	body     *body
	current  int32 // block, -1 in dead code
	loops    int

	// for the estimate of what compiling takes
	work   int64 // instructions
	moved  int64 // values moved
	listed int64 // labels of br_table
	calls  int64
}

func (w *rewriter) scanBodies() error {
	s, ok := w.section(module.SectionCode)
	if !ok {
		return nil
	}
	w.report.Functions = len(w.mod.Bodies)
	w.bodies = make([]body, len(w.mod.Bodies))
	var effort int64
	for i, b := range w.mod.Bodies {
		function := uint32(w.imported + i)
		sc := scanner{
			scratch:  &w.out,
			cursor:   cursor{b: w.wasm, at: b.Start, end: b.End},
			w:        w,
			function: function,
			body:     &w.bodies[i],
		}
		sc.scan()
		if sc.err == nil {
			if effort += sc.effort(); effort > w.allowed() {
				sc.fail(ErrTooComplex, "compiling up to here could take %v, for a module of %d bytes at most %v are allowed: loops, branches and locals in one function multiply; split it",
					time.Duration(effort).Round(time.Millisecond), len(w.wasm), time.Duration(w.allowed()).Round(time.Millisecond))
			}
		}
		if sc.err != nil {
			return fmt.Errorf("function %d (section at %d): %w", function, s.Start, sc.err)
		}
		w.report.Loops += sc.loops
		w.report.Effort = time.Duration(effort)
	}
	return nil
}

func (s *scanner) scan() {
	s.what = "locals"
	s.readLocals()
	s.what = "code"
	s.body.start, s.body.end = s.at, s.end
	if s.left() > maxBody {
		s.fail(ErrTooComplex, "it has %d bytes: at most %d are allowed in one function", s.left(), maxBody)
	}
	s.blocks, s.edges, s.exits, s.regions = s.blocks[:0], s.edges[:0], s.exits[:0], s.regions[:0]
	s.frames, s.order, s.events = s.frames[:0], s.order[:0], s.events[:0]
	s.blocks = append(s.blocks, block{first: -1, event: -1})
	s.regions = append(s.regions, region{parent: -1, first: -1})
	results := len(s.w.mod.Types[s.w.functions[s.function]].Results)
	s.frames = append(s.frames, frame{kind: opCall, result: int32(results), target: exit})
	s.current = s.open(s.newBlock(0), check)
	s.regions[0].head = s.current
	s.blocks[s.current].cost = costEntry + int64(s.body.count)/4
	for s.err == nil && len(s.frames) > 0 {
		s.instruction()
	}
	if s.err == nil && s.left() > 0 {
		s.malformed("%d bytes behind the function's end", s.left())
	}
	if s.err != nil {
		return
	}
	s.body.weight = 1 + min(int64(s.body.count)/weightLocals+s.work/weightSteps, maxWeight-1)
	s.plan()
	s.body.events = append(make([]event, 0, len(s.events)), s.events...)
}

func (s *scanner) readLocals() {
	params := len(s.w.mod.Types[s.w.functions[s.function]].Params)
	total := uint64(params)
	for n := s.count(2, "groups of locals"); n > 0 && s.err == nil; n-- {
		r := run{s.u32(), s.valueType()}
		if total += uint64(r.n); total > maxLocals {
			s.fail(ErrTooComplex, "it has more than %d locals: split the function", maxLocals)
		}
		s.body.locals = append(s.body.locals, r)
	}
	s.body.count = int(total)
}

func (s *scanner) newBlock(region int32) int32 {
	s.blocks = append(s.blocks, block{region: region, first: -1, event: -1})
	return int32(len(s.blocks) - 1)
}

// open lets a block begin here.
func (s *scanner) open(b int32, kind eventKind) int32 {
	s.blocks[b].at = s.at
	s.blocks[b].event = s.note(kind, 0)
	s.order = append(s.order, b)
	return b
}

func (s *scanner) note(kind eventKind, cost int64) int32 {
	s.events = append(s.events, event{at: s.at, kind: kind, depth: uint32(len(s.frames) - 1), cost: cost})
	return int32(len(s.events) - 1)
}

// edge lets the current block lead to another one, with so many values.
func (s *scanner) edge(to int32) { s.edgeFrom(s.current, to) }

func (s *scanner) edgeFrom(from, to int32) {
	if from < 0 {
		return
	}
	s.edges = append(s.edges, edge{to, s.blocks[from].first})
	s.blocks[from].first = int32(len(s.edges) - 1)
	s.blocks[to].in++
	s.leave(s.blocks[from].region, to)
}

// leave notes an edge that leaves loops: for each of them, where it leads to.
func (s *scanner) leave(from, to int32) {
	target := s.blocks[to].region
	if to == exit {
		target = -1
	} else if r := &s.regions[target]; r.head == to && r.parent == from {
		return // into a loop, not out of one
	}
	for from != target && from > 0 {
		r := &s.regions[from]
		if r.parent == target && to != s.regions[target].head {
			s.exits = append(s.exits, edge{to, r.first})
			r.first = int32(len(s.exits) - 1)
		} else {
			r.leaves = true
		}
		from = r.parent
	}
}

// target is the block that a branch to the label leads to; it is made if nothing
// led there yet.
func (s *scanner) target(label uint32) int32 {
	f := &s.frames[len(s.frames)-1-int(label)]
	if f.target < 0 {
		f.target = s.newBlock(f.region)
	}
	return f.target
}

// pay adds to the current block's cost.
func (s *scanner) pay(cost int64) {
	if s.current >= 0 {
		s.blocks[s.current].cost += cost
	}
}

func (s *scanner) move(values int64) {
	s.moved += values
	if s.current >= 0 {
		s.blocks[s.current].moves += values
	}
}
