// Package account keeps a vendor's key while a feed runs: it reads it again and again, so that a key that was changed in
// its Secret is taken up without a restart, and it takes the key out of every text that a vendor or a library says before
// that text goes into an error, a log or a status.
package account
