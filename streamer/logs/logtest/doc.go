// Package logtest is the suite that every [logs.Log], [logs.Ticks], [logs.Registry] and
// [logs.Peers] passes. A test of an implementation calls [Run], [RunTicks], [RunRegistry] and
// [RunPeers] with how to open one, and with the hooks that it can offer: closing and
// opening again, putting an older copy in place, letting entries age out.
package logtest
