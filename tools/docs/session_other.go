//go:build !linux

package main

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// members are these processes and those below them that still run. One whose parent has
// gone is not found.
func members(leaders []int) []int {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,stat=").Output()
	if err != nil {
		return nil
	}
	lines := strings.Split(string(out), "\n")
	family, alive := slices.Clone(leaders), []int(nil)
	for again := true; again; {
		again, alive = false, nil
		for _, line := range lines {
			fields := strings.Fields(line)
			if len(fields) < 3 || strings.HasPrefix(fields[2], "Z") {
				continue
			}
			pid, _ := strconv.Atoi(fields[0])
			parent, _ := strconv.Atoi(fields[1])
			if !slices.Contains(family, pid) && slices.Contains(family, parent) {
				family, again = append(family, pid), true
			}
			if slices.Contains(family, pid) {
				alive = append(alive, pid)
			}
		}
	}
	return alive
}
