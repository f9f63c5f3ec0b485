// Package wire is what scripted vendors break below TLS and HTTP: connections that end in the middle of a byte stream, or fall
// silent, and a certificate for loopback.
package wire
