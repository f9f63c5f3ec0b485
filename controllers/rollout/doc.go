// Package rollout decides what a change does to the pods of a MarketStream: nothing, a reload in
// place, or a roll. It is pure: what was seen and what is wanted in, a decision and the
// reasons for it out. The reasons are goldens in testdata: they say why a step was taken.
//
//   - [Document] decides which generation of the document the pods are to run.
//   - [Streamers] decides the template, the image and the number of streamers. An upgrade of the
//     operator changes none of them: a stream moves to the newest template and image with its
//     next change that rolls pods anyway, or at once with pod.updates: Follow.
//   - [Backbone] decides the same of its nodes, which node is to go next, and drives the move between
//     one node and three (docs/contracts/cluster.md). A node gets a new image only after every
//     streamer runs it.
//   - [Volumes] decides which claims are to grow.
//
// Pods roll at the pace of clients by themselves: a new pod's /readyz holds while clients are not
// back, and the Deployment waits for it. Only scale-in is paced here, one pod at a time.
package rollout
