// Package alpaca is the feed of Alpaca's market data: its WebSockets for IEX, SIP, crypto and test, and its REST, with
// a key.
package alpaca
