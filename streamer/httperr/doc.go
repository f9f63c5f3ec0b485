// Package httperr is an answer that says what is wrong, in the one form of the wire protocol:
//
//	{"error":{"code":404,"message":"symbol: this stream does not carry \"NOPE\""}}
//
// The message names the parameter, the value and what would be right. An [Error] is made where
// a request is read, and written where the answer is.
package httperr
