package engine

import "time"

// chanSource is the source of a loop all of whose connections come through package
// net: it only sleeps, the events lie in the loop's netQueue.
type chanSource struct {
	woken chan struct{}
	timer *time.Timer
}

func newChanSource() *chanSource {
	s := &chanSource{woken: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	return s
}

func (s *chanSource) wait(timeout time.Duration) error {
	if timeout <= 0 {
		select {
		case <-s.woken:
		default:
		}
		return nil
	}
	s.timer.Reset(timeout)
	select {
	case <-s.woken:
		s.timer.Stop()
	case <-s.timer.C:
	}
	return nil
}

func (s *chanSource) wake() error {
	select {
	case s.woken <- struct{}{}:
	default:
	}
	return nil
}

func (s *chanSource) events() bool { return false }

func (s *chanSource) deaf() {}

func (s *chanSource) listen(*listener) error { return nil }

func (s *chanSource) unlisten(*listener) {}

func (s *chanSource) closeSocket(*listener) {}

func (s *chanSource) release() {}
