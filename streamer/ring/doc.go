// Package ring keeps closed bars in memory: for each symbol and timeframe the newest ones,
// up to a capacity, in chunks of bytes in which each bar is written as its difference from
// the one before. A bar with trade count and VWAP takes about 15 bytes.
//
// A [Set] is fed by one goroutine, in the order of BARS, and read by any number: a reader
// holds a series' lock for as long as it decodes the chunks that it needs.
package ring
