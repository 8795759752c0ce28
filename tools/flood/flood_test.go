package main

import (
	"io"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"--quick", "--share", "1"}, io.Discard)
	if err != nil || o.mustShare != 1 || o.phase.Seconds() > 2 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, arguments := range []string{"--rate 1", "--legit 1000", "--phase 1ms", "--share 0", "more"} {
		if _, err := parse(strings.Fields(arguments), io.Discard); err == nil {
			t.Errorf("%s is taken", arguments)
		}
	}
}
