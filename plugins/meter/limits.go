package meter

// Limits against modules that are small to send and long to compile. They leave
// a wide margin over what compilers make of real plugins.
const (
	maxModule    = 64 << 20
	maxTypes     = 20_000
	maxArity     = 64 // parameters or results of a function, a block or a branch
	maxFunctions = 100_000
	maxGlobals   = 10_000
	maxExports   = 10_000
	maxTables    = 16
	maxTable     = 1 << 16 // elements, and where a table may grow to
	maxSegments  = 100_000
	maxElements  = 1 << 20
	maxBody      = 4 << 20 // bytes of one function
	maxLocals    = 4096    // of one function, parameters included
	maxNesting   = 1024
	maxLabels    = 1 << 16 // of one br_table
)

// maxEffort bounds the estimated steps of the compiler over a whole module, see
// [scanner.effort].
const maxEffort = 50_000_000

// maxExits is how many checks of a function get a label of their own.
const maxExits = 512
