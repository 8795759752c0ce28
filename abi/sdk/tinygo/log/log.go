// Package log writes log lines, with the operator's grant log. Weft adds the
// plugin's name, and limits their rate. A line has at most 8 KiB.
package log

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// Level is how important a line is.
type Level int32

// The levels.
const (
	LevelDebug = Level(host.LogDebug) // for the author
	LevelInfo  = Level(host.LogInfo)  // for the operator's files
	LevelWarn  = Level(host.LogWarn)  // worth a look
	LevelError = Level(host.LogError) // something does not work
)

// Write writes a line.
func Write(level Level, line string) { host.Log(int32(level), line) }

// Debug writes a line at level debug.
func Debug(line string) { Write(LevelDebug, line) }

// Info writes a line at level info.
func Info(line string) { Write(LevelInfo, line) }

// Warn writes a line at level warn.
func Warn(line string) { Write(LevelWarn, line) }

// Error writes a line at level error.
func Error(line string) { Write(LevelError, line) }
