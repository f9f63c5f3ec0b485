// Package polygontest is a scripted Massive: it speaks the protocol as it was recorded and documented, over real sockets,
// WebSocket and REST, and breaks on command.
//
//	v, err := polygontest.Start(polygontest.Options{Key: "k", Symbols: []string{"AAPL"}})
//	feed: Endpoint v.URL(), RESTEndpoint v.RESTURL(), TLS v.ClientTLS(), Key "k"
//
// What it does as the vendor does: every frame is an array; a handshake of connected, auth, auth_success; one answer per
// topic, and none to a topic that is there already; one connection more than the account allows is let in, and only then
// told max_connections and closed, or an older one is; REST pages lead on by next_url, which has no key in it.
//
// Faults of connections and of REST are those of [vendortest.Server], the market's truth that of [vendortest.Market].
package polygontest
