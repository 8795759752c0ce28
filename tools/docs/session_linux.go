package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// members are the processes of these sessions that still run, whoever started them.
func members(sessions []int) []int {
	var list []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// Behind the name, which may have anything in it: state, parent, group, session.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 4 || fields[0] == "Z" {
			continue
		}
		session, _ := strconv.Atoi(fields[3])
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && slices.Contains(sessions, session) {
			list = append(list, pid)
		}
	}
	return list
}
