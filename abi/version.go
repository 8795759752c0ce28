package abi

import (
	"fmt"
	"strconv"
	"strings"
)

// The version of the ABI that this host speaks. A host runs every plugin of its
// own major version whose minor version is not above its own.
const (
	Major = 1
	Minor = 1
)

// ExportVersionPrefix begins the name of the export that tells, without running
// a single instruction of the guest, which version it was built for:
// weft_abi_1_0 for version 1.0.
const ExportVersionPrefix = "weft_abi_"

// Version is a version of the ABI.
type Version struct{ Major, Minor int }

// Current is the version that this host speaks.
var Current = Version{Major, Minor}

// ParseVersionExport reads the version out of an export's name. The second
// result is false when the name is not that of a version export.
func ParseVersionExport(name string) (Version, bool) {
	rest, ok := strings.CutPrefix(name, ExportVersionPrefix)
	if !ok {
		return Version{}, false
	}
	major, minor, ok := strings.Cut(rest, "_")
	if !ok {
		return Version{}, false
	}
	a, errA := strconv.ParseUint(major, 10, 16)
	b, errB := strconv.ParseUint(minor, 10, 16)
	if errA != nil || errB != nil {
		return Version{}, false
	}
	return Version{int(a), int(b)}, true
}

// Runs reports whether a host of version v runs a guest built for version guest.
func (v Version) Runs(guest Version) bool {
	return v.Major == guest.Major && guest.Minor <= v.Minor
}

// Export is the name of the export that announces the version.
func (v Version) Export() string {
	return fmt.Sprintf("%s%d_%d", ExportVersionPrefix, v.Major, v.Minor)
}

// String is the version in dotted form, such as 1.0.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
