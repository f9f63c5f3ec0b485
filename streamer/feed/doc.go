// Package feed says what a source of trades is. A [Source] says entries in its own order:
// trades, watermarks, gaps; a [Sink] takes them, and holds the source up while it is full.
//
// Contract of entries (docs/contracts/feed.md):
//
//   - Offset rises with every trade and cancel, and is the same in every run of the source.
//     A Mark has the offset of the entry before it; a Hole has one of its own.
//   - A Mark of W says that every trade up to W is in. Replay and synthetic move it at whole
//     100 ms of event time ([Marker]): before the first trade that reaches the next step.
//   - After a restart from a position, a source says exactly what it said after it in the
//     first run: same trades, same offsets, same order. Marks may begin lower.
package feed
