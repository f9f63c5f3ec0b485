// Package alpacatest is a scripted Alpaca: it speaks the protocol as it was recorded and documented, over real sockets,
// WebSocket and REST, and breaks on command.
//
//	v, err := alpacatest.Start(alpacatest.Options{KeyID: "id", Secret: "s", Symbols: []string{"AAPL"}})
//	feed: Endpoint v.URL(), RESTEndpoint v.RESTURL(), TLS v.ClientTLS(), Key "id", "s"
//
// What it does as the vendor does: every frame is an array; a key by headers or by a message; each change of the
// subscriptions is answered by all of them; errors have codes; the newcomer is refused (406) where the account has its
// connections already; who reads too slowly is told so (407) and cut; corrections and cancels come to whoever subscribes to
// trades. REST pages lead on by next_page_token.
package alpacatest
