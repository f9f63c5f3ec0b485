// Package streamer is the data plane. It holds no code; this is its map.
//
//	vendor, file or generator                                       browsers
//	     │                                                             ▲
//	     ▼                                                             │ Server-Sent Events
//	  feed ──▶ ingest ──▶ TICKS (backbone)                           stream ◀── microbars, ticks
//	             │                                                     ▲
//	             └─▶ bars (fold) ──▶ BARS (backbone) ──▶ engine: view ─┤
//	                                                                   ├─▶ ring ──▶ history ◀── vendor REST
//	                                                                   └─▶ coverage
//
// Packages, from the values outward:
//
//   - market: values only, exact decimals, bars, sessions. Imports nothing of ours.
//   - logs: the entries of the two logs and their bytes. Imports market.
//   - bars, ring: pure folding, closed bars in memory. Import market only.
//   - feed and feed/…: sources of trades. Import market.
//   - backbone: NATS, the one package that knows it.
//   - pods: who is alive and who holds which partition: announcements, leases, tokens.
//   - peer, shard: rings that pods read from each other, and which pod has which. Neither knows
//     who reads them.
//   - secrets: whether the Secrets that a process needs are there, and nothing of their contents.
//   - ingest: from a feed's entries to both logs, for the partitions that this process holds.
//   - stream, history: what clients meet. They know neither feed, bars nor NATS.
//   - httperr: an answer that says what is wrong. Imports nothing of ours.
//   - metrics, eventsource: names of metrics; a reader of Server-Sent Events.
//   - engine: wiring. The one package that imports all the others; none imports it.
//
// hack/archtest enforces these rules and says the reason of each.
package streamer
