//go:build !linux

package engine_test

func child() int { return 0 }
