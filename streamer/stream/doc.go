// Package stream serves GET /stream/market: closed bars by a cursor that resumes, open
// bars at each client's beat, ticks, pings. docs/contracts/stream.md and the wire protocol
// say what is on the wire.
//
//	Publish ─▶ tail (frames, shared) ─┐
//	State   ─▶ states (newest only) ──┼─▶ loop ─▶ one write per client and moment
//	Tick    ─▶ tick rings (bounded) ──┘    ├─▶ loop
//	                                       └─▶ …
//
// A client is a cursor on the tail: closed bars need no queue, a slow client is a cursor
// that lags, and replay and live are the same walk. Open bars are state: at its beat a
// client gets the newest of those that changed since its last one. Ticks are kept once per
// symbol, and a client holds a place among them. Every event is encoded once for all.
//
// A handler goroutine answers a request, writes what comes before live events, hands the
// connection to a loop and ends. A loop owns its clients: no lock is held while writing,
// and a write never blocks. What a client can hold up is itself.
package stream
