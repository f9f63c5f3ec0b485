// Package conditions turns what was observed and decided into the conditions of a MarketStream:
// Ready, Reconciling and Stalled as kstatus has them, and those they follow from. It is pure, one
// file for each condition or two; the list in conditions.go reads as a table.
//
// They come from what pods report of themselves, not from wishes: Ready says that every pod runs
// this generation's document. A vendor's health shows in FeedConnected alone: a closed market
// makes no stream unready.
package conditions
