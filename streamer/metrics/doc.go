// Package metrics names every metric of a streamer, in one place, and keeps the labels by
// symbol within bounds: a stream with many symbols has one series for all of them, not
// one each. A [Set] belongs to one process and is safe for use at the same time.
package metrics
