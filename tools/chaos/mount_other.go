//go:build !linux

package main

import "fmt"

var errLinux = fmt.Errorf("%w: needs Linux", errLeftOut)

func mountMemory(string, int) error { return errLinux }

func unmount(string) error { return errLinux }

type disk struct{ dir string }

func newDisk(string, string, int64) (*disk, error) { return nil, errLinux }

func (*disk) mount() error { return errLinux }

func (*disk) unmount() error { return errLinux }

func (*disk) cut() error { return errLinux }

func command(string, ...string) error { return errLinux }
