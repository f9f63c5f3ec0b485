// Package engine puts a streamer together: it starts the parts in order, hands each what
// it needs, reloads the document in place, and drains. It is the one package that imports
// all the others, and it decides nothing about market data.
//
// Three things live in it:
//
//   - the view: what this process knows of BARS. One goroutine follows the log and applies
//     each frame, in order, to the rings, the coverage and the stream's tail. It lives as
//     long as the process.
//   - the plane: the feed and the writers of the partitions that are held here. Writers are opened
//     from the log alone, and anew when the shape of bars changes or the log has lost its end.
//   - the servers: one port for browsers, one inside the cluster.
package engine
