package kernel

// The objects of bpf/ are made with Debian's clang and committed; building weft needs
// none of it. bpf/build -check tells whether they are what their sources give.
//
//go:generate bpf/build
