// Package replay is the feed that says recorded trades again: a file, or a directory of
// files that are merged by time.
//
// The form is CSV with the header symbol,ts,price,size,side,id,conditions in any order; side,
// id and conditions may be left out. ts is Unix milliseconds; ts_us or ts_ns as the column's
// name says that it is finer. A file may be gzipped or zipped; what it is, its first bytes say.
//
// A place in the source is loop << 40 | row, rows counted from 1 over all files in merged
// order, those of symbols that are not carried too: so a symbol that is added moves no place.
package replay
