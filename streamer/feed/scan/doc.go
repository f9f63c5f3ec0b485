// Package scan reads JSON strictly, once through, in place: what encoding/json takes, and nothing else. A vendor's
// parser walks a frame with a [Scanner], keeps the places of the values that it wants as [Token]s, and reads these
// without a float: [Token.Uint], [Token.Decimal], [Token.Time]. Only escapes in texts allocate. A [Bar] of a vendor's becomes a
// record as ours are.
//
// Equal keys of an object may come twice; it is the caller who lets the latest count. A [Scanner] is used by one
// goroutine; texts are slices of the frame.
package scan
