// Package logs holds the entries of the two logs, TICKS and BARS, and of the state
// messages beside them: what they mean and how their bytes are laid out. It knows no
// server: package backbone stores the bytes, others read the values.
//
//   - A [Batch] is one message of TICKS: up to a few hundred entries of one partition.
//   - A [Frame] is one message of BARS: everything that a partition closes at one moment,
//     the shape that bars have from here on, or the log's owner. It is the commit, the
//     fence and the checkpoint in one.
//   - A [StateMessage] is the newest microbars and forming bars of a partition: a plain
//     message that may be lost.
//
// The bytes are a contract, docs/contracts/logs.md. Decoders take any input: they return
// an error that wraps [ErrCorrupt], never panic, and never allocate more than a small multiple
// of the input's length.
package logs
