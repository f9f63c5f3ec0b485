package logs

import (
	"context"
	"errors"
)

// Errors of a [Log].
var (
	// ErrConflict: the last entry of the partition is not the one that the writer expected.
	ErrConflict = errors.New("the log has moved on")
	// ErrUnavailable: the log could not be asked, or did not answer in time. An append may or may not have happened.
	ErrUnavailable = errors.New("the log does not answer")
	// ErrFull: the log takes nothing more until space is made.
	ErrFull = errors.New("the log is full")
	// ErrTooLarge: the message is longer than [MaxEntry]. Nothing was stored.
	ErrTooLarge = errors.New("the log takes no message of this length")
	// ErrGone: the entry is not in the log: it aged out, or never was.
	ErrGone = errors.New("no such entry in the log")
)

// OwnerSubject stands for the owner's subject where a partition is asked for.
const OwnerSubject = -1

// Entry is one stored message.
type Entry struct {
	// Seq is its place in the whole log, rising, over all partitions.
	Seq       uint64
	Partition int // OwnerSubject for the owner's
	// Data is the reader's to keep and must not be changed.
	Data []byte
}

// Bounds are the first and the last sequence of a log; Last < First when it is empty.
type Bounds struct{ First, Last uint64 }

// Log is BARS as the rest of the program sees it: appends that say what they expect, and
// reads in order. Every implementation passes the suite in logs/logtest.
type Log interface {
	// Append stores data on a partition if the last entry there has sequence expect (0: if there
	// is none) and returns its sequence. ErrConflict says that nothing was stored; ErrUnavailable
	// that one has to look (Last); ErrFull that nothing was stored.
	Append(ctx context.Context, partition int, expect uint64, data []byte) (seq uint64, err error)
	// Last returns the last entry of a partition, asked of the leader; ErrGone if there is none.
	Last(ctx context.Context, partition int) (Entry, error)
	// Get returns the entry at seq, or ErrGone.
	Get(ctx context.Context, seq uint64) (Entry, error)
	// Read calls fn with every entry from seq on that is stored when Read begins, in order, until
	// the end, fn's first error (which it returns) or ctx's end.
	Read(ctx context.Context, seq uint64, fn func(Entry) error) error
	// Tail calls fn with every entry from seq on, in order, and goes on with new ones as they
	// come, until fn's first error or ctx's end. It gets over a server that goes away.
	// It returns an error that wraps ErrRewound when the log turns out to end before what was read.
	Tail(ctx context.Context, seq uint64, fn func(Entry) error) error
	// Bounds returns the sequences that are stored.
	Bounds(ctx context.Context) (Bounds, error)
}

// ErrRewound says that the log ends before an entry that was read from it: its end was lost.
var ErrRewound = errors.New("the log was rewound")

// KeyValue is one entry of a [Registry].
type KeyValue struct {
	Key      string
	Revision uint64 // rises with every change of any key
	Value    []byte // the reader's to keep; nil if Deleted
	Deleted  bool
}

// Registry is what the processes of one stream share besides the logs: small values under
// keys of a–z, 0–9, '-' and '.', each with a revision. It holds leases, the counter of
// fencing tokens and what draining pods announce. Its methods may be called at the same time.
type Registry interface {
	// Put stores value under key if the key's revision is expect (0: it is not there, never was
	// or was deleted) and returns the new one. ErrConflict says that nothing was stored,
	// ErrUnavailable that one has to look (Get).
	Put(ctx context.Context, key string, expect uint64, value []byte) (revision uint64, err error)
	// Delete removes key if its revision is expect; errors as Put.
	Delete(ctx context.Context, key string, expect uint64) error
	// Get returns a key, asked of the leader; ErrGone if it is not there.
	Get(ctx context.Context, key string) (KeyValue, error)
	// List returns every key that is there, asked of the leader.
	List(ctx context.Context) ([]KeyValue, error)
	// Watch calls fn with every key that is there and then with every change, until fn's first
	// error or ctx's end. A key that changes fast may come with its newest value only. It gets
	// over a server that goes away, or that comes back with less than it had (then fn is
	// given everything that is there again).
	Watch(ctx context.Context, fn func(KeyValue) error) error
}

// Peers are plain messages among the processes of one stream. They may be lost; nobody
// stores them.
type Peers interface {
	// Announce sends data to every process that listens, this one too. data is the caller's again at return.
	Announce(data []byte) error
	// Listen calls fn with every announcement from now on, until the returned function is called.
	Listen(fn func(data []byte)) (stop func(), err error)
}
