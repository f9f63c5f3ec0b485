// Package link is what feeds of vendors with a key share of a WebSocket: a [Link] connects again and again, a [Session]
// is one connection of it, and a vendor's [Speaker] says what the frames of a session mean.
//
//	options.go   how patient one is with a vendor
//	link.go      the symbols, who is covered, what is counted
//	run.go       connections one after the other: back-off, limits, keys that are refused or changed, statuses
//	session.go   one connection: frames, the watermark, what was not observed
//	conn.go      the socket: connect, read, ping, notice silence
//	queue.go     frames on their way from the reader to Run, bounded in bytes
//
// Goroutines: Run's own alone uses the sink, parses, and writes to the vendor. Each connection has two more: one reads the
// socket into the queue and does nothing else, so parsing never blocks reading; one sends pings. While the sink holds Run up,
// the queue fills, then the socket is not read, and the lag shows; the vendor's silence is not held against it meanwhile.
//
// What was not observed: before the first mark of a session that is not the first, a hole is said from where the watermark
// stood, less the time for which reports may be late, up to the moment at which every symbol was confirmed. A frame that can't be
// read is a hole too.
//
// The key goes into the first messages or headers of a connection. Whatever a vendor or a library says is passed through
// [account.Keeper.Clean] before it is logged, returned or put into a status.
package link
