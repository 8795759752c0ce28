// Package clients holds tests only: programs and libraries that nobody here wrote
// speak to the weft command. It is a module of its own, so that what they need is
// not what weft needs.
package clients
