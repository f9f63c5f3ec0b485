// Package desired says what the objects of a MarketStream are to be. It is pure: the same
// [Input] gives the same bytes, on any machine, at any time. No client, clock, disk or network.
//
// In the order in which one needs it:
//
//   - [Input] is the MarketStream and what the controller decided about it: how many pods there are
//     to be now, which image they run, which revision of the template they are made from.
//   - [Objects] turns it into objects, in the order in which they are applied. The table builders
//     lists them, one builder and one file each; a builder returns nil where its object is not made.
//   - [Object.Body] is what is applied: own fields only, no empty list or map (an API server takes an
//     empty list for a change each time), and an annotation with the hash of the rest.
//   - [Subset] tells whether a live object has all of that already, so that nothing need be written.
//     What is removed from a body shows in the annotation; what others add is theirs.
//   - [Document] is stream.yaml, what the pods read, and [ConfigRevision] its hash as pods report it.
//   - [StreamerShape] and [BackboneShape] are hashes of the fields that only a new pod can take.
//     The controller compares them with the annotation of the live workload: another shape rolls pods.
//
// # Templates
//
// A change of a pod template rolls the pods of everybody who upgrades the operator. So a template is
// never changed once it was released: what is to be different gets a new revision in the tables
// streamerTemplates and backboneTemplates, beside the old one, and [Newest] counts it. The annotations of a
// workload say which revision and image it was built for; the controller passes them back in as
// [Workload] until something pod-shaped changes. testdata/templates holds what each revision builds.
//
// # Tests
//
// testdata/<case>/marketstream.yaml is the input, the other files are what comes out.
// `go test ./controllers/desired -rewrite` writes them; read the difference.
package desired
