// Package alpaca is the feed of Alpaca's market data: its WebSockets for IEX, SIP, crypto and test, its REST for trades that
// a connection missed and for bars of the past. A key of two parts is needed.
//
// From bytes to entries, one file a step:
//
//	frame.go     a frame (an array of messages) into trades, corrections, cancels, halts, bars, errors
//	session.go   one connection: the handshake, subscriptions, errors by their codes, entries
//	revise.go    trades that are taken back or corrected
//	source.go    the options, and what the feed promises
//	rest.go      trades of a time, bars of minutes, page by page
//
// The connection itself, its back-off and its keys are package link's, pages and their limits package pages'.
//
// What the vendor does and what is made of it:
//
//   - A trade is known by its id, its exchange and its time. Ids do not tell what is missing: the feed is not Gapless. What it did
//     not see it says as a hole, and the minutes that a hole touches are made again of REST's trades.
//   - A sale condition's letter means what the SIP of the trade's tape means by it: C is UTP, all else CTA.
//   - Who subscribes to trades gets corrections (c) and cancels (x) too. They name the trade; what else it was, the newest
//     trades of the connection tell. Of one that is not among them the minute is made again.
//   - 402 waits for another key, or five minutes; so do 409 and 411, which say that the plan lacks the feed. 406: another connection
//     holds the account, the newcomer is refused: Limited, and a minute and more of rest. 405: smaller batches find how
//     many symbols the account may have, the status names how many are left, and they are asked for again. 407: we were not
//     fast enough. 400 and 410 to halts mean doing without; else they, 401, 404 and 500 end the connection, and it is made again.
//   - Halts go to the log.
//   - The key goes into a message, and not into the handshake's headers, which a redirect would carry elsewhere.
//
// Not verified at the vendor, for none can be reached from here: whether the time of a correction or cancel is the trade's (it
// matters for trades that are not remembered alone).
package alpaca
