// Package reports asks pods how they are: it polls GET /status of streamers and nodes, outside of
// any reconcile, keeps the last answer of each, and says when one changed in a way that
// matters. What is kept is bounded by the pods that it was told of.
//
// A [Poller] is safe for concurrent use. One goroutine looks at what is due and at most Workers
// ask at once; all end with the context of [Poller.Run].
package reports
