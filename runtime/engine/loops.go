package engine

import "runtime"

// DefaultLoops is the number of loops of a Config that names none: half of the
// processors that the process may use, at least one.
//
// Measured on two cores beside the client that drives it: frames that come back on
// the connection they came by cost the server the same CPU time with one loop and
// with two (42 and 44 ns a frame of 128 bytes over 50 connections). Frames that go
// on to another connection cost 75 to 95 ns where both live on one loop, and 170 to
// 290 ns where they cross. So a second loop pays only where one is at its limit and
// a processor is free for it; the other half is for the kernel's network work, the
// garbage collector and whoever else is on the machine.
func DefaultLoops() int { return min(max(runtime.GOMAXPROCS(0)/2, 1), MaxLoops) }
