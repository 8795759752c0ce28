package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/cases"
	"github.com/weftrun/weft/plugins/recording"
)

// maxSample bounds how many messages of a recording are read into memory.
const maxSample = 100_000

// sample is messages to measure a plugin with.
type sample struct {
	listeners []string
	messages  []abi.Message
	// with is a case file that has the plugin's configuration and grants; nil: a
	// recording, which has neither.
	with *cases.File
}

// readSample reads the messages of a folder with case files, of one of them, or of
// a recording.
func readSample(path string) (*sample, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError("--sample: %w", err)
	}
	s := &sample{}
	switch ext := filepath.Ext(path); {
	case info.IsDir():
		files, globErr := filepath.Glob(filepath.Join(path, "*.yaml"))
		if err = globErr; err == nil && len(files) == 0 {
			return nil, usageError("--sample: no *.yaml in %s", path)
		}
		for _, file := range files {
			err = errors.Join(err, s.addCases(file))
		}
	case ext == ".yaml" || ext == ".yml":
		err = s.addCases(path)
	default:
		err = s.addRecording(path)
	}
	if err != nil {
		return nil, fail(exitConfig, err, "")
	}
	if len(s.messages) == 0 {
		return nil, usageError("--sample: %s has no messages", path)
	}
	return s, nil
}

// addCases takes the messages of the cases that have the file's own configuration.
// Of several files the first one's configuration counts.
func (s *sample) addCases(path string) error {
	f, err := cases.Read(path)
	if err != nil {
		return err
	}
	if s.with == nil {
		s.with = f
	} else if string(s.with.Spec.Config) != string(f.Spec.Config) {
		return nil
	}
	names := f.Listeners()
	for i := range f.Cases {
		if f.Cases[i].HasConfig() {
			continue
		}
		for _, m := range f.Cases[i].Messages() {
			m.Listener = s.listener(names[m.Listener])
			m.Time = f.Start.UnixNano()
			s.messages = append(s.messages, m)
		}
	}
	return nil
}

func (s *sample) addRecording(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := recording.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for len(s.messages) < maxSample {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if e.Hook != abi.HookMessages.String() {
			continue
		}
		m, err := e.ABI(s.listener(e.Listener))
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, r.Line(), err)
		}
		s.messages = append(s.messages, m)
	}
	return nil
}

// listener is the place of a name in the list, which it joins if it is new.
func (s *sample) listener(name string) uint32 {
	at := slices.Index(s.listeners, name)
	if at < 0 {
		at = len(s.listeners)
		s.listeners = append(s.listeners, name)
	}
	return uint32(at)
}

// configure gives a plugin the configuration and grants of the case file, if there
// is one and the command line has said nothing else.
func (s *sample) configure(spec *plugins.Spec, given *setup) {
	if s == nil || s.with == nil || given.from.file != "" {
		return
	}
	if given.settings == "" {
		spec.Config = s.with.Spec.Config
	}
	if g := s.with.Spec.Grants; g != (hostfuncs.Grants{}) {
		spec.Grants = g
	}
	if s.with.Spec.Memory != 0 {
		spec.Memory = s.with.Spec.Memory
	}
	if s.with.Spec.CPU != 0 {
		spec.CPU = s.with.Spec.CPU
	}
}
