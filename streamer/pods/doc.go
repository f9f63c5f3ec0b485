// Package pods says who the processes of one stream are and which of them holds what. It
// reads and writes the backbone through the interfaces of package logs and knows nothing
// of bars.
//
//   - [Members] is who is alive, by what they announce ([Announcement]).
//   - [Assign] is who is to hold which partition, and [Rings] a symbol's ring: pure
//     functions of who is warm, by rendezvous hashing, so that all pods come to the same.
//   - [Leases] is the state machine of the partitions' leases: what it has seen, what it
//     holds and until when, and from these the steps to take, each with its reason. It has no
//     clock and does no IO.
//   - [Keeper] runs it: it announces, listens, renews, takes and hands over.
//
// The bytes and times are a contract, docs/contracts/cluster.md.
package pods
