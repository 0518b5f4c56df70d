package main

import "math"

// summary are statistics of the numbers that are none NaN.
type summary struct {
	count               int
	mean, std, min, max float64
}

func summarise(values []float64) summary {
	s := summary{min: math.Inf(1), max: math.Inf(-1)}
	var squares float64
	for _, value := range values {
		if math.IsNaN(value) {
			continue
		}
		s.count++
		// Welford: exact also for many numbers far from 0
		step := value - s.mean
		s.mean += step / float64(s.count)
		squares += step * (value - s.mean)
		s.min, s.max = min(s.min, value), max(s.max, value)
	}
	s.std = math.Sqrt(squares / float64(s.count))
	return s
}
