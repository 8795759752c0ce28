package engine

// DefaultLoops is the number of loops of a Config that names none.
func DefaultLoops() int { return 1 }
