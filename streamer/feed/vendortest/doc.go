// Package vendortest is what scripted vendors share: a [Server] speaks WebSocket and HTTP over real sockets, with TLS if
// one likes, and its connections break on command; a [Market] makes trades, remembers them all, and is the oracle that
// knows what is true. polygontest and alpacatest say them in their vendors' words.
//
// What is the vendor's own stands in its package: the handshake, who is let in and who is thrown out, how a trade looks.
// Frames that are queued for a [Client] are written by its own goroutine in as large pieces as there are; a client that
// lags behind by more than SlowBytes is cut, as vendors do.
package vendortest
