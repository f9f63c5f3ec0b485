// Package history answers what was: /api/history, and beside it coverage, symbols and the
// state of the market.
//
// Closed bars come from the rings; older ones from BARS; older still from the vendor, whose
// pages of 1m records are kept, bounded in bytes, and rolled up to the timeframe that is
// asked for. So a change of timeframe asks the vendor nothing twice, and any number of
// identical requests at once ask it once. Nothing is ever made up: when the vendor fails
// and nothing else is there, the answer says so. BARS is read once at a time, for all that
// wait. Rings are asked through an interface, since they may be in another pod.
package history
