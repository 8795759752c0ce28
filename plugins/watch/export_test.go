package watch

import "errors"

// Unwatch lets the system tell nothing any more, for tests.
func (w *Watcher) Unwatch() error {
	var errs []error
	for _, folder := range w.notify.WatchList() {
		errs = append(errs, w.notify.Remove(folder))
	}
	return errors.Join(errs...)
}
