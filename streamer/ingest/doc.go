// Package ingest takes in what a feed says and turns it into the two logs: per partition
// it gathers entries into batches for TICKS, folds them into bars, and commits what closes
// as one conditional append to BARS.
//
//	feed ─▶ Pipeline ─▶ Writer 0 ─▶ TICKS, fold ─▶ BARS
//	                ├─▶ Writer 1     (state every 50 ms)
//	                └─▶ …
//
// [Pipeline] is the feed's sink: it runs in the feed's goroutine and hands each partition
// its entries in chunks. A [Writer] is one goroutine that owns one partition's fold. A
// writer that falls behind holds the feed up: chunks are bounded, nothing is dropped.
//
// A writer is started from the log alone ([Restore]), and the feed then goes on at the
// earliest place that an open minute needs. That is the one way to start: after a crash,
// after a reload, on another pod.
package ingest
