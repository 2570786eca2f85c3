package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// samples are the values of one quantity, one from each round.
type samples []float64

func (s samples) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	c := slices.Sorted(slices.Values(s))
	if n := len(c); n%2 == 0 {
		return (c[n/2-1] + c[n/2]) / 2
	}
	return c[len(c)/2]
}

// String is the median with the range.
func (s samples) String() string { return s.text(digits(s.median())) }

// text is the median with the range, with the given number of decimals.
func (s samples) text(decimals int) string {
	if len(s) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.median(), decimals, slices.Min(s), decimals, slices.Max(s))
}

// digits chooses decimals so that about three figures show.
func digits(v float64) int {
	switch v = math.Abs(v); {
	case v < 1:
		return 3
	case v < 10:
		return 2
	case v < 100:
		return 1
	}
	return 0
}

// number prints one value with about three figures.
func number(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits(v), v)
}

// ratios divides round by round: what disturbs the machine for a while disturbs both sides of a pair.
func ratios(a, b samples) samples {
	r := make(samples, 0, len(a))
	for i := range min(len(a), len(b)) {
		r = append(r, a[i]/b[i])
	}
	return r
}

// percentile returns the value below which the share p of the sorted latencies lies.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
