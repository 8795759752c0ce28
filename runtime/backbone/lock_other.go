//go:build !unix

package backbone

import "os"

// flock has nothing to take a file with on this system.
func flock(*os.File) (taken bool, err error) { return true, nil }
