package meter

// Where fuel is taken.
//
// A block is straight-line code. If every block took its own cost, a branchy loop
// would take fuel at every other instruction. So a block may pay for what comes
// after it: its prepay is an amount that it takes beyond its own cost, and that
// every block that follows may count upon. With
//
//	need(b)   = cost(b) + prepay(b)
//	credit(b) = the least prepay of the blocks that lead to b; 0 where b begins a loop or the function
//
// a block takes need(b) - credit(b), if that is more than nothing. On every path
// the fuel taken is then never less than the cost of what ran, whatever the
// prepays are: entering b, at least credit(b) is paid in advance; leaving it, at
// least prepay(b). How they are chosen decides how much is taken too much, and how
// often fuel is taken.
//
// Prepaid fuel is used once. A loop's body runs many times, so it lives by itself:
// its head and nothing else pays for it (a region). What is prepaid where a loop
// is entered passes by the loop and counts for where it is left to.
const (
	// slack is how many units a path may pay too much at each block, so that a
	// small piece of code beside the way needs no payment of its own.
	slack = 8
	// slackExit is the same for a way that leaves the loop, which is taken once.
	slackExit = 24
	// settle is how often prepays are corrected where several ways meet.
	settle = 3

	// registers is how many locals move for nothing where ways meet.
	registers = 16

	endless = int64(1) << 40
)

// plan fills in the events of the function that was just scanned.
func (s *scanner) plan() {
	s.meet()
	for _, b := range s.order {
		blk := &s.blocks[b]
		blk.cost += (blk.moves + (1<<movesShift - 1)) >> movesShift
	}
	for i := len(s.order) - 1; i >= 0; i-- {
		s.choose(s.order[i])
	}
	for range settle {
		s.credits()
		if !s.lower() {
			break
		}
	}
	s.credits()
	for _, b := range s.order {
		blk := &s.blocks[b]
		s.events[blk.event].cost = max(0, blk.need-blk.credit)
	}
}

// meet lets blocks pay for the locals that may have to be moved where ways meet:
// beyond those that fit into registers, one unit for sixteen. Otherwise a loop
// around a branch that is never taken moves hundreds of values for nothing.
func (s *scanner) meet() {
	locals := int64(s.body.count) - registers
	if locals <= 0 {
		return
	}
	for _, b := range s.order {
		blk := &s.blocks[b]
		for e := blk.first; e >= 0; e = s.edges[e].next {
			if to := s.edges[e].to; to != exit && (s.blocks[to].in > 1 || s.regions[s.blocks[to].region].head == to) {
				blk.cost += (locals + registers - 1) / registers
				break
			}
		}
	}
}

// choose sets what a block pays for those that follow, all of which were looked at
// before: as much as the dearest needs, as long as no other way then pays more
// than the slack too much.
func (s *scanner) choose(b int32) {
	blk := &s.blocks[b]
	bound, ways := endless, 0
	s.following(b, func(to int32, out int64) {
		switch {
		case to < 0:
			bound, ways = min(bound, out), ways+1
		case !s.blocks[to].doomed:
			bound, ways = min(bound, s.blocks[to].need+slack), ways+1
		}
	})
	if ways == 0 {
		blk.doomed = true // it ends in a trap or an endless loop: nobody else cares
	}
	s.following(b, func(to int32, _ int64) {
		if to >= 0 && !s.blocks[to].doomed && s.blocks[to].need <= bound {
			blk.prepay = max(blk.prepay, s.blocks[to].need)
		}
	})
	blk.need = blk.cost + blk.prepay
}

// following calls visit with each block of the same region that the block leads
// to, past the loop that it may enter, or with -1 and a slack for ways out.
func (s *scanner) following(b int32, visit func(to int32, out int64)) {
	here := s.blocks[b].region
	for e := s.blocks[b].first; e >= 0; e = s.edges[e].next {
		to := s.edges[e].to
		region := s.blocks[to].region
		switch {
		case to == exit:
			visit(-1, s.slackOut(here))
		case region == here && to != s.regions[here].head:
			visit(to, 0)
		case region != here && s.regions[region].parent == here && s.regions[region].head == to:
			for x := s.regions[region].first; x >= 0; x = s.exits[x].next {
				visit(s.exits[x].to, 0)
			}
			if s.regions[region].leaves {
				visit(-1, slack)
			}
		case region == here:
			visit(-1, slack) // the next turn
		default:
			visit(-1, s.slackOut(here))
		}
	}
}

func (s *scanner) slackOut(region int32) int64 {
	if region == 0 {
		return slack
	}
	return slackExit
}

// credits computes what each block may count upon.
func (s *scanner) credits() {
	for _, b := range s.order {
		s.blocks[b].credit = endless
	}
	for _, b := range s.order {
		blk := &s.blocks[b]
		if s.regions[blk.region].head == b {
			blk.credit = 0
		}
		for e := blk.first; e >= 0; e = s.edges[e].next {
			s.credit(b, s.edges[e].to)
		}
	}
}

// credit lets one edge count.
func (s *scanner) credit(from, to int32) {
	if to == exit {
		return
	}
	region, target := s.blocks[from].region, s.blocks[to].region
	prepay := s.blocks[from].prepay
	if s.regions[target].head == to {
		if s.regions[target].parent == region {
			s.regions[target].carry = prepay
		}
		return // a head counts upon nothing
	}
	for region != target {
		prepay = s.regions[region].carry
		region = s.regions[region].parent
	}
	s.blocks[to].credit = min(s.blocks[to].credit, prepay)
}

// lower takes back prepays that no block can count upon, because another way
// leads to the same block and prepays less. It tells whether it did.
func (s *scanner) lower() (changed bool) {
	for i := len(s.order) - 1; i >= 0; i-- {
		b := s.order[i]
		blk := &s.blocks[b]
		most := int64(0)
		s.following(b, func(to int32, _ int64) {
			if to >= 0 {
				most = max(most, min(s.blocks[to].need, s.blocks[to].credit))
			}
		})
		if most < blk.prepay {
			blk.prepay, changed = most, true
		}
		blk.need = blk.cost + blk.prepay
	}
	return changed
}
