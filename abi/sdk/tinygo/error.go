package weft

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// Error is an error text: what Init and Restore return where there is nothing
// better at hand.
//
//	return weft.Error("prefix is missing")
type Error string

// Error is the text itself.
func (e Error) Error() string { return string(e) }

// HostError is why a function of log, metrics, random, kv, http or filter failed.
// Compare it with ==. A key that is not there is no error.
type HostError = host.Error

// What the host may answer.
const (
	ErrDenied   = host.ErrDenied   // outside the scope that the operator granted
	ErrLimit    = host.ErrLimit    // over a limit of the grant or of the contract
	ErrInvalid  = host.ErrInvalid  // a malformed argument
	ErrConflict = host.ErrConflict // compare-and-set: another revision is there
	ErrFailed   = host.ErrFailed   // the host could not do it
	ErrTimeout  = host.ErrTimeout  // the deadline of an asynchronous call has passed
)

// Package host, which cannot see the generated numbers, has the same ones: each
// difference must be 0 to be the length of an empty array.
var (
	_ [0]struct{} = [host.StatusNotFound - int(statusNotFound)]struct{}{}
	_ [0]struct{} = [host.StatusDenied - int(statusDenied)]struct{}{}
	_ [0]struct{} = [host.StatusLimit - int(statusLimit)]struct{}{}
	_ [0]struct{} = [host.StatusInvalid - int(statusInvalid)]struct{}{}
	_ [0]struct{} = [host.StatusConflict - int(statusConflict)]struct{}{}
	_ [0]struct{} = [host.StatusFailed - int(statusFailed)]struct{}{}
	_ [0]struct{} = [host.StatusTimeout - int(statusTimeout)]struct{}{}
	_ [0]struct{} = [host.LogDebug - int(logDebug)]struct{}{}
	_ [0]struct{} = [host.LogInfo - int(logInfo)]struct{}{}
	_ [0]struct{} = [host.LogWarn - int(logWarn)]struct{}{}
	_ [0]struct{} = [host.LogError - int(logError)]struct{}{}
	_ [0]struct{} = [host.MetricCounter - int(metricCounter)]struct{}{}
	_ [0]struct{} = [host.MetricGauge - int(metricGauge)]struct{}{}
	_ [0]struct{} = [host.MetricHistogram - int(metricHistogram)]struct{}{}
	_ [0]struct{} = [host.MaxKVKey - maxKVKey]struct{}{}
	_ [0]struct{} = [host.MaxKVValue - maxKVValue]struct{}{}
	_ [0]struct{} = [host.MaxLog - maxLog]struct{}{}
	_ [0]struct{} = [host.MaxMetricName - maxMetricName]struct{}{}
	_ [0]struct{} = [host.MaxHostBytes - maxHostBytes]struct{}{}
	_ [0]struct{} = [host.MaxHTTPMethod - maxHTTPMethod]struct{}{}
	_ [0]struct{} = [host.MaxHTTPTarget - maxHTTPTarget]struct{}{}
	_ [0]struct{} = [host.MaxHTTPHeader - maxHTTPHeader]struct{}{}
	_ [0]struct{} = [host.MaxHTTPBody - maxHTTPBody]struct{}{}
	_ [0]struct{} = [host.MaxSource - maxSource]struct{}{}
)
