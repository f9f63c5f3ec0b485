package socket

import (
	"net/http"
	"time"
)

// Backoff is full jitter: the wait is drawn from 0 to a bound that doubles.
type Backoff struct {
	First, Most time.Duration
	Draw        func(bound time.Duration) time.Duration // any from 0 to bound
	bound       time.Duration
}

// Reset makes the next wait short again.
func (b *Backoff) Reset() { b.bound = 0 }

// Next is how long to wait now.
func (b *Backoff) Next() time.Duration {
	b.bound = min(max(b.bound*2, b.First), b.Most)
	return b.Draw(b.bound)
}

// RetryAfter is what a header of that name asks for, in seconds or as a date; 0: nothing.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if d, err := time.ParseDuration(text + "s"); err == nil && d >= 0 {
		return min(d, time.Hour)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), time.Hour)
	}
	return 0
}
