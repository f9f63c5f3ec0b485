// Package feed says what a source of trades is. A [Source] says entries in its own order:
// trades, watermarks, gaps; a [Sink] takes them, and holds the source up while it is full.
//
// Contract of entries (docs/contracts/feed.md):
//
//   - Offset rises with every trade and cancel, and is the same in every run of the source.
//     A Mark and a Hole have no place of their own: theirs is not below that of the entry
//     before them, and below that of the next trade.
//   - A Mark of W says that every trade up to W is in. Replay and synthetic move it at whole
//     100 ms of event time ([Marker]): before the first trade that reaches the next step.
//   - After a restart from a position, a source says exactly what it said after it in the
//     first run: same trades, same offsets, same order. Marks may begin lower, and a Hole
//     at the very position is said again: whoever takes it knows whether it has it.
//   - Where a new log begins is asked once, of a [Beginner].
package feed
