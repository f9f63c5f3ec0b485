// Package polygon is the feed of Massive, which was Polygon.io: its WebSocket for trades and for the bars that they are
// checked by, its REST for trades that a connection missed and for bars of the past. A key is needed.
//
// From bytes to entries, one file a step:
//
//	frame.go     a frame (an array of events) into trades, bars, price bands, statuses
//	session.go   one connection: the handshake, subscriptions, entries
//	check.go     the vendor's bars of seconds against what came
//	source.go    the options, and what the feed promises
//	rest.go      trades of a time, bars of minutes, page by page
//
// The connection itself, its back-off and its keys are package link's, pages and their limits package pages'.
//
// What the vendor does and what is made of it:
//
//   - A trade is known by its sequence number q, in its ticker and day; REST has the same one. (The vendor's id is unique
//     for an exchange and a reporting facility alone.) Sequence numbers skip, so they order trades and tell what came twice,
//     but not what is missing: the feed is not Gapless. What it did not see it says as a hole, and the minutes that a hole
//     touches are made again of REST's trades.
//   - Sizes are the exact ones (ds) where they are said. A trade has the time at which it happened (pt) where that is said, so
//     one that an off-exchange facility reports late falls into the minute it belongs to; the watermark goes by reports.
//     Times are whole milliseconds, by both ways, so that a trade from REST is the one from the WebSocket.
//   - While connected, the vendor's bars of seconds (A) are held against the volume that came. A bar with more means trades that
//     did not come, and a hole. A plan without them goes unchecked, and the log says so. Crypto goes unchecked.
//   - max_connections comes after the handshake, the key and even a subscription were taken, and sources disagree on which
//     connection dies. Either way: Limited, and a minute and more of rest. One connection an account is the vendor's rule,
//     so the feed does not Overlap: a partition that moves is stop, then start, and the gap is repaired.
//   - auth_failed waits for another key, or five minutes. "not authorized" to trades does so too; to bars of seconds or price
//     bands it means doing without.
//   - Cancels and corrections are not streamed. REST marks them, and has them left out whenever a minute is made again.
//   - Silence at night is no failure: pings keep the connection and move the watermark.
//   - REST: 429 is a wait, for all that ask with the account in this process. A plan that sees the past alone (status DELAYED) is asked
//     again once the delay is over. An answer without results is "nothing was traded"; all else is an error.
//
// Not verified at the vendor, for none can be reached from here: whether a ms is cut off or rounded; what numbers
// correction has (the SIPs' are assumed); by which of the two times bars of seconds go (both are allowed for).
package polygon
