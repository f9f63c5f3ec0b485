// Package shard spreads the rings of a stream over its pods: each pod has those of the symbols
// that it holds, and gets the others from who holds them.
//
//	pods.View ─▶ decide ─▶ load what is lacking (one pass over BARS) ─▶ announce ─▶ let go
//
//	Answer, Walk ─▶ own ring ─▶ cache ─▶ the pod that holds it ─▶ BARS
//
// Who holds a ring is a function of the warm pods ([pods.Rings]). When they change, a pod
// loads what it lacks and announces the set that it has loaded for; one that has a ring
// lets it go only when its new holder has announced the set as it is now. A pod that is
// asked for a ring that it does not have says so, and the asker looks elsewhere: a moment of
// disagreement costs a request, nothing else. What nobody has is read from BARS, once at a
// time for all who wait, and no further back than what they want is likely to lie.
//
// An answer from elsewhere is good until a frame with a bar of its symbol is applied here, or
// its time is up: frames come to every pod, so every pod knows when its copies are old.
package shard
