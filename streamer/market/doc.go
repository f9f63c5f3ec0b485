// Package market holds the values that every other package speaks: exact decimals,
// trades, bars, timeframes, sessions and calendars. It imports nothing of ours, reads no
// clock, no disk and no network, and none of its values needs a lock unless its
// documentation says so.
//
// In the order one needs them:
//
//   - [Decimal] is a price or a size as the venue wrote it; [Int128] is what sums of
//     them are kept in. No value passes through a float on its way from wire to wire.
//   - [Entry] is one thing that a feed says: a trade, a cancelled trade, a watermark
//     ("every trade up to T is in") or a gap ("this stretch was not observed").
//   - [Timeframe] and [Session] cut time into periods; a period is [start, end) and is
//     labelled by its start.
//   - [ConditionTable] says which fields of a bar a trade may set.
//   - [Record] is a bar that can still be merged: with another record of the same
//     period's parts, or with a late trade. [Bar] is what is served of it.
//   - [Position] says how far into a feed something was made from.
package market
