// Package coinbase is the feed of Coinbase Exchange: its WebSocket for trades, its REST for those that
// a connection missed. No key is needed.
//
// From bytes to entries, one file a step:
//
//	scan.go      strict JSON, read once, nothing copied
//	frame.go     a frame into a trade, a heartbeat, an answer (clock.go: its time)
//	session.go   one connection: entries, newest ids, the watermark
//	products.go  what is subscribed to, what the vendor says of it
//	run.go       connections one after the other: back-off, limits, statuses
//	rest.go      pages of trades, paced over the whole process
//	refill.go    a stretch from pages: by ids, exactly, or by times
//
// Goroutines: Run's own alone uses the sink, parses, and writes to the vendor. Each connection is a [socket.Conn] with
// two more; Run makes them and waits for their end before it connects again. While the sink holds Run up, the queue
// fills, then the socket is not read, and the lag shows ([Source.Stats]).
//
// What the vendor promises and what is made of it:
//
//   - trade_id rises by one in each product: it is ID and Order of a trade, and Gapless. What is
//     missing is found by who takes the entries: from the next trade or a Seen entry (last_match
//     on subscribing, last_trade_id in heartbeats). A heartbeat that runs ahead of its trade by a
//     moment is no Seen yet; the product's next heartbeat is.
//   - side is the maker's; an entry has the taker's.
//   - A subscription that names an unknown product is ignored whole. One message at a time is
//     sent, at most 100 products in it; the product that the error names is left out and reported by a
//     Connected status, the rest asked for again. Where it names none, halving finds it. Products
//     that were unknown are asked for again on the next connection.
//   - Heartbeats carry the exchange's clock: they are events to the watermark, as trades are. With the
//     pings they go on where nobody trades. last_match is old and is none.
//   - Errors that speak of a limit on connections or subscriptions mean Limited: 60 s and more of
//     rest. A rate limit (429 on connecting) is an ordinary failure whose Retry-After is kept.
//     Nothing is for good: Run never says Failed.
//
// The WebSocket library is coder/websocket. Measured over loopback with frames of 280 bytes
// (v1.8.15; gorilla v1.5.3 and gws v1.8.9 beside it): coder 0.81 µs and no allocation a frame, if the
// reading context cannot end (else 8); gorilla 0.62 to 0.87 µs and 1; gws 0.76 µs and 1. CPU is the kernel's
// in all of them. coder has no dependencies, bounds each write by a context, answers pings and close
// frames by itself, and calls back at a pong, which puts it at its place among the frames.
package coinbase
