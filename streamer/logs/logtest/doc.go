// Package logtest is the suite that every [logs.Log] passes. A test of an implementation
// calls [Run] with how to open one, and with the hooks that it can offer: closing and
// opening again, putting an older copy in place, letting entries age out.
package logtest
