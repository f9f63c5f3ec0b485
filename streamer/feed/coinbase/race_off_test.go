//go:build !race

package coinbase

const scale = 1
