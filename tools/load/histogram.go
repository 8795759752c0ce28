package load

import (
	"encoding/json"
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram holds latencies in nanoseconds, from 64 ns to 1 hour with three
// significant digits (an HDR histogram). In JSON it is a string: HdrHistogram's
// V2 compressed encoding in base64. It is not safe for concurrent use.
type Histogram struct{ h *hdr.Histogram }

const histogramMax = int64(time.Hour)

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram { return &Histogram{hdr.New(64, histogramMax, 3)} }

// newCoarse returns an empty histogram with two significant digits, an eighth as large.
func newCoarse() *Histogram { return &Histogram{hdr.New(64, histogramMax, 2)} }

// Record adds one latency. One outside the range counts as the nearest inside.
func (h *Histogram) Record(ns int64) {
	_ = h.h.RecordValue(min(max(ns, 0), histogramMax)) // cannot fail within the range
}

// Merge adds the values of another histogram.
func (h *Histogram) Merge(from *Histogram) { h.h.Merge(from.h) }

// Count is how many latencies were recorded.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Reset forgets all values.
func (h *Histogram) Reset() { h.h.Reset() }

// Quantile is the latency in nanoseconds that percent of the values do not exceed.
func (h *Histogram) Quantile(percent float64) int64 {
	if h.Count() == 0 {
		return 0
	}
	return h.h.ValueAtQuantile(percent)
}

// Summary reads the usual quantiles.
func (h *Histogram) Summary() Latency {
	if h.Count() == 0 {
		return Latency{}
	}
	return Latency{
		Samples: h.Count(), Min: h.h.Min(), Mean: int64(h.h.Mean()), P50: h.Quantile(50), P90: h.Quantile(90),
		P99: h.Quantile(99), P999: h.Quantile(99.9), P9999: h.Quantile(99.99), Max: h.h.Max(),
	}
}

// MarshalJSON encodes the histogram.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	text, err := h.h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encoding the histogram: %w", err)
	}
	return json.Marshal(string(text))
}

// UnmarshalJSON decodes what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	decoded, err := hdr.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("decoding the histogram: %w", err)
	}
	h.h = hdr.New(64, histogramMax, int(decoded.SignificantFigures()))
	h.h.Merge(decoded)
	return nil
}
