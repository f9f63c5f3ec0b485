// Package link is what feeds of vendors with a key share of a WebSocket: a [Link] connects again and again, a [Session]
// is one connection of it, and a vendor's [Speaker] says what the frames of a session mean.
//
//	options.go   how patient one is with a vendor
//	link.go      the symbols, who is covered, what is counted
//	run.go       connections one after the other: back-off, limits, keys that are refused or changed, statuses
//	session.go   one connection: frames, the watermark, what was not observed
//
// Goroutines: Run's own alone uses the sink, parses, and writes to the vendor. Each connection is a [socket.Conn]
// with two more. While the sink holds Run up, its queue fills, then the socket is not read, and the lag shows.
//
// What was not observed: before the first mark of a session that is not the first, a hole is said from where the watermark
// stood, less the time for which reports may be late, up to the moment at which every symbol was confirmed. A frame that can't be
// read is a hole too.
//
// The key goes into the first messages or headers of a connection. Whatever a vendor or a library says is passed through
// [account.Keeper.Clean] before it is logged, returned or put into a status.
package link
