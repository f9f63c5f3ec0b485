// Package installtest installs by each of the three ways into a real API server, and runs the table of
// the admission policies there.
package installtest
