// Package bars folds what a feed says into bars: trades, cancels, watermarks and gaps go
// in, closed bars, their revisions and gap records come out. It is a pure core: no clock,
// no disk, no network, no goroutine, no log. The same entries give the same bars, after a
// crash, on another pod, in a test.
//
// A [Fold] is one partition. [Fold.Entry] takes one entry and, at a watermark, may return a
// [Close]: everything that the partition closes at that moment, which becomes one frame of
// BARS. [Fold.Restore] takes the frames back after a crash: what they hold and the entries
// after Close.Open are the whole state.
//
// How a trade finds its bars:
//
//	minute still open     ─▶ the open 1m record          (the hot path: one record, no allocation)
//	far ahead of the mark ─▶ the same, and taken out by the next Close
//	minute closed, recent ─▶ the 1m record and each longer one above it, as a revision
//	older than the window ─▶ counted, and the minute is marked as a gap to be repaired
//
// Longer timeframes are merges of closed 1m records. A minute closes when the watermark
// reaches its end plus the close grace; so does every longer period. What comes to a closed
// minute later, a late trade or a repair, comes to each longer bar too that it lies in
// (longer.go), for which closed minutes are kept, after the revision window as bytes (past.go).
//
// What it does is shown by the scripts of testdata, minute.txt first; their values were
// worked out by hand. go test -rewrite writes what is printed now into them.
//
// Rules that later parts must keep stand in docs/contracts/bars.md.
package bars
