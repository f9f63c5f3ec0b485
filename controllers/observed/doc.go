// Package observed is what was seen of one MarketStream, as plain values: its workloads, their
// pods and what those report of themselves. It is gathered by controllers/marketstream and
// read by the two packages that decide, rollout and conditions; it does nothing itself.
package observed
