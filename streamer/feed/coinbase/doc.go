// Package coinbase is the feed of Coinbase Exchange.
package coinbase
