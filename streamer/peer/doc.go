// Package peer lets the pods of a stream read each other's rings, over HTTP on the internal
// port. docs/contracts/cluster.md says what is on the wire.
//
//	Client.Ask ─▶ sign ─▶ POST /internal/rings ─▶ verify ─▶ Server ─▶ ring.Set
//	     ▲                                                      │
//	     └────────────── answers, sealed ◀──────────────────────┘
//
// A request is signed with a key that is made from the backbone's credential, so who may
// read the backbone may read the rings and nobody else; the answer is sealed with the same key, so
// that one that was cut short, or given by somebody else, is none.
//
// A [Client] has few connections to a pod and little patience: who does not answer is left
// alone for a moment, and its callers have other places to look.
package peer
