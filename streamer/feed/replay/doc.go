// Package replay is the feed that says recorded trades again: a file, or a directory of
// files that are merged by time.
//
// The form is CSV with the header symbol,ts,price,size,side,id,conditions in any order; side,
// id and conditions may be left out. ts is Unix milliseconds; ts_us or ts_ns as the column's
// name says that it is finer. A time that this puts into the first months of 1970 is refused: it
// is in a coarser unit. A file may be gzipped or zipped; what it is, its first bytes say.
//
// From bytes to trades, one file a step:
//
//	files.go    what is at a path: CSV texts, plain or packed
//	records.go  a text into records of fields, through a window (RFC 4180)
//	header.go   which field is which column
//	rows.go     a record into a trade
//	merge.go    several texts in order of time
//	run.go      places, loops, pace, watermark
//
// A place in the source is loop << 40 | row, rows counted from 1 over all files in merged
// order, those of symbols that are not carried too: so a symbol that is added moves no place.
// Such rows move the watermark as well; of them only symbol and time are read.
//
// A row allocates nothing. Memory is a window of 256 KiB for each file that is open (16 KiB
// beyond the first 32 of them).
package replay
