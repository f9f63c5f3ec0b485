//go:build race

package coinbase

// scale is what large numbers are divided by: the race detector makes everything ten times slower.
const scale = 5
