// Package ingest takes in what a feed says and turns it into the two logs: per partition
// it gathers entries into batches for TICKS, folds them into bars, and commits what closes
// as one conditional append to BARS.
//
//	feed ─▶ router ─▶ Writer 0 ─▶ TICKS, fold ─▶ BARS
//	              ├─▶ Writer 1     (state every 50 ms)
//	              └─▶ …
//
// A [Plane] runs the feed and the writers of the partitions that the process holds, which
// come and go. Its router is the feed's sink: it runs in the feed's goroutine and hands each
// partition its entries in chunks. A [Writer] is one goroutine that owns one partition's
// fold. Writers that fall behind hold the feed up: what waits for all of them is bounded,
// and nothing that makes a bar is dropped ([Pressure] says what gives way before).
//
// A writer is started from the logs alone (restore.go), and a feed that can be read again
// goes on at the earliest place that an open minute needs. That is the one way to start:
// after a crash, after a reload, on another pod.
package ingest
