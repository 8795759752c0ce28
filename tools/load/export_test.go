package load

// IsProbe tells whether a payload is one of the probes that come before a run.
func IsProbe(payload []byte) bool {
	for _, text := range []bool{false, true} {
		if s, ok := (&stampReader{text: text}).read(payload); ok && s.probe {
			return true
		}
	}
	return false
}
