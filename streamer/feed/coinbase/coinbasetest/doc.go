// Package coinbasetest is a scripted vendor: it speaks Coinbase Exchange's protocol, as it was
// recorded, over real sockets, WebSocket and REST, with TLS if one likes, and breaks on command.
//
//	v, err := coinbasetest.Start(coinbasetest.Options{Seed: 1, Products: …})
//	feed: Endpoint v.URL(), RESTEndpoint v.RESTURL(), TLS v.ClientTLS()
//
// It makes trades: their prices, sizes and sides are a function of the seed, the product and
// the id; ids are gapless; times follow the clock, at the product's rate. It remembers them
// all (bounded by Keep) and serves REST pages from them, so that what a fault takes away on
// the socket can be had there, and [Vendor.Trades] is the oracle that knows what is true.
//
// Faults are methods of [Vendor] (faults.go); for another process they are the same by HTTP,
// under /control/ at the REST address (control.go). hack/scriptedvendor runs it by itself.
//
// One mutex guards all of it; a trade is made, remembered and queued for every connection at once,
// so a heartbeat never names an id that was not sent before it, unless a fault has it so.
// Frames are encoded once and written in as large pieces as there are.
package coinbasetest
