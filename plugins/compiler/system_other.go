//go:build !linux

package compiler

import (
	"os"
	"syscall"
	"time"
)

// ownImage: elsewhere there is no such name.
const ownImage = "/proc/self/exe"

// giveWay does nothing: elsewhere a priority belongs to the whole process.
func giveWay() {}

// ours: elsewhere the folder for temporary files is one's own.
func ours(os.FileInfo) bool { return true }

// attributes: the process ends when its input does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func giveWayAll(bool) {}

func boundMemory(int64) error { return nil }

// began is a stand-in for the time of the processor.
var began = time.Now()

func processorTime() time.Duration { return time.Since(began) }
