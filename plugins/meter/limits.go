package meter

// Limits against modules that are small to send and long to compile. They leave
// a wide margin over what compilers make of real plugins.
const (
	maxModule     = 64 << 20
	maxTypes      = 20_000
	maxArity      = 64 // parameters or results of a function, a block or a branch
	maxFunctions  = 100_000
	maxGlobals    = 10_000
	maxExports    = 10_000
	maxTables     = 16
	maxTable      = 1 << 16 // elements, and where a table may grow to
	maxSegments   = 100_000
	maxElements   = 1 << 20
	maxBody       = 4 << 20 // bytes of one function
	maxLocals     = 4096    // of one function, parameters included
	maxNesting    = 1024
	maxNameLength = 4096    // of a function, in the name section
	maxLabels     = 1 << 16 // of one br_table
)

// What the compiler takes for a function, in nanoseconds, as an upper estimate.
// Measured with shapes that are slow on purpose (TestBombs): wazero's time grows
// with the square of the local variables for every way that leads to a place where
// ways meet, with the product of the depth of loops and local variables, and with
// the squares of blocks, loops, calls and the ways to one place.
const (
	effortStep  = 500    // an instruction
	effortValue = 1500   // a value that is moved, over a call, a branch or into a local
	effortLabel = 12_000 // a label of a br_table
	effortJoin  = 5000   // a local where ways meet
	effortWay   = 20     // a pair of locals for each way that leads there, and a pair of ways
	effortNest  = 120    // a local in a block, for each loop around it
	effortLoop  = 400    // a pair of loops
	effortBlock = 2      // a pair of blocks
	effortCall  = 1      // a pair of calls
	effortLocal = 20     // a local

	// A module may take a second, and more in proportion to its size. Compilers
	// stay below 2 us a byte.
	effortBase  = 1_000_000_000
	effortByte  = 6000
	effortMost  = 30_000_000_000
	maxLoopNest = 128
)

// How much depth a call takes: its frame on the stack grows with the function's
// locals and with the values that it computes. Stacks are copied when they grow:
// 20,000 calls of a function with a hundred values would take 30 ms and 20 MB.
const (
	weightLocals = 16
	weightSteps  = 64
	maxWeight    = 40 // so that functions of any size go 500 deep
)

// maxExits is how many checks of a function get a label of their own.
const maxExits = 512
