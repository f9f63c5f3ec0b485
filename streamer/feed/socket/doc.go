// Package socket is a vendor's WebSocket as feeds see it: frames in a bounded queue, and an end with a reason in plain words.
//
//	conn.go    connect, read, ping, notice silence
//	queue.go   frames on their way from the reader to who takes them, bounded in bytes
//	retry.go   when to try again, and what a vendor says of that
//
// A connection has two goroutines: one reads the socket into the queue and does nothing else, so parsing never blocks reading;
// one sends pings. While the queue is full the socket is not read, and the vendor's silence is not held against it.
package socket
