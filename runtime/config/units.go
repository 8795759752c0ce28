package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. In a file it is a whole number or a number with a
// unit: B, KiB, MiB, GiB, TiB, PiB (powers of 1024), kB, MB, GB, TB (powers of
// 1000).
type Size int64

// Duration is a length of time. In a file it is a number with a unit (ms, s, m,
// h), or several of them: 15s, 1m30s.
type Duration time.Duration

// Percent is a share in millionths. In a file it is a number with a percent sign,
// of which four decimal places count: 0.1%, 5%.
type Percent int64

// Factor is a ratio in thousandths. In a file it is a number of which three decimal
// places count: 1.5, 2.
type Factor int64

// Rate is how often something may happen, in times an hour. In a file it is a whole number
// and a unit: 1000/s, 600/m, 10/h.
type Rate int64

// ErrUnit is wrapped by every error about a size or duration that cannot be read.
var ErrUnit = errors.New("not a quantity")

var sizeUnits = []struct {
	name   string
	factor int64
}{
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseSize reads a size as it stands in a file.
func ParseSize(text string) (Size, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, unit := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, unit.name); ok {
			number, factor = strings.TrimSpace(rest), unit.factor
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/factor {
			return 0, fmt.Errorf("%w: size %.40q is out of range", ErrUnit, text)
		}
		return Size(n * factor), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0 && f*float64(factor) < math.MaxInt64) {
		return 0, fmt.Errorf("%w: size %.40q", ErrUnit, text)
	}
	return Size(f * float64(factor)), nil
}

// String is the size with the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range sizeUnits[:5] {
		if s != 0 && int64(s)%unit.factor == 0 {
			return strconv.FormatInt(int64(s)/unit.factor, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseDuration reads a duration as it stands in a file. A number without a unit
// is refused unless it is 0.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("%w: duration %.40q", ErrUnit, text)
	}
	return Duration(d), nil
}

// Std is the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the duration without empty parts: 1m30s, 15s, 10m, 1h.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParsePercent reads a percentage as it stands in a file. A number without the sign
// is refused unless it is 0.
func ParsePercent(text string) (Percent, error) {
	number, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !ok && f != 0 || !(math.Abs(f) <= 1e9) {
		return 0, fmt.Errorf("%w: percentage %.40q", ErrUnit, text)
	}
	return Percent(math.Round(f * 1e4)), nil
}

// Share is the percentage as a fraction: 1% is 0.01.
func (p Percent) Share() float64 { return float64(p) / 1e6 }

// String is the percentage with its sign: 0.1%.
func (p Percent) String() string { return strconv.FormatFloat(float64(p)/1e4, 'f', -1, 64) + "%" }

// ParseFactor reads a factor as it stands in a file.
func ParseFactor(text string) (Factor, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(math.Abs(f) <= 1e9) {
		return 0, fmt.Errorf("%w: factor %.40q", ErrUnit, text)
	}
	return Factor(math.Round(f * 1e3)), nil
}

// Float is the factor as a number: 1.5.
func (f Factor) Float() float64 { return float64(f) / 1e3 }

// String is the factor as it stands in a file: 1.5.
func (f Factor) String() string { return strconv.FormatFloat(f.Float(), 'f', -1, 64) }

// What a rate's units are in times an hour.
const (
	perHour   Rate = 1
	perMinute      = 60 * perHour
	perSecond      = 60 * perMinute
)

// ParseRate reads a rate as it stands in a file. A number without a unit is refused
// unless it is 0.
func ParseRate(text string) (Rate, error) {
	number, name, ok := strings.Cut(strings.TrimSpace(text), "/")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	unit := map[string]Rate{"s": perSecond, "m": perMinute, "h": perHour, "": 0}[strings.TrimSpace(name)]
	if err != nil || n < 0 || n > 1e12 || unit == 0 && (ok || n != 0) {
		return 0, fmt.Errorf("%w: rate %.40q", ErrUnit, text)
	}
	return Rate(n) * unit, nil
}

// Every is the time from one to the next; 0 for the rate 0.
func (r Rate) Every() time.Duration {
	if r <= 0 {
		return 0
	}
	return max(1, time.Hour/time.Duration(r))
}

// Float is the rate as a number a second.
func (r Rate) Float() float64 { return float64(r) / float64(perSecond) }

// String is the rate with the shortest unit in which it is a whole number.
func (r Rate) String() string {
	switch {
	case r == 0:
		return "0"
	case r%perSecond == 0:
		return strconv.FormatInt(int64(r/perSecond), 10) + "/s"
	case r%perMinute == 0:
		return strconv.FormatInt(int64(r/perMinute), 10) + "/m"
	}
	return strconv.FormatInt(int64(r), 10) + "/h"
}
