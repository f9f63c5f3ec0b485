package backbone

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// Codes of JetStream's answers that say more than the class they are in.
const (
	codeWrongLastSequence         jetstream.ErrorCode = 10071
	codeWrongLastSequenceConstant jetstream.ErrorCode = 10164
	codeNoPeers                   jetstream.ErrorCode = 10005
	codeNotAvailable              jetstream.ErrorCode = 10008
	codeAccountExceeded           jetstream.ErrorCode = 10002
	codeOffline                   jetstream.ErrorCode = 10118
	codeInsufficientResources     jetstream.ErrorCode = 10023
	codeMemoryExceeded            jetstream.ErrorCode = 10028
	codeStorageExceeded           jetstream.ErrorCode = 10047
	codeStoreFailed               jetstream.ErrorCode = 10077
)

// unavailable wraps ErrUnavailable around an error of a request that was not answered, and
// leaves the server's own answers as they are.
func unavailable(err error) error {
	var answer *jetstream.APIError
	if err == nil || errors.As(err, &answer) || errors.Is(err, logs.ErrUnavailable) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", logs.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", logs.ErrUnavailable, err)
}

// refusal says in the words of package logs why the server stored nothing.
func refusal(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case codeWrongLastSequence, codeWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", logs.ErrConflict, err)
	}
	if refusesRoom(err) {
		return fmt.Errorf("%w: %w", logs.ErrFull, err)
	}
	return fmt.Errorf("%w: %w", logs.ErrUnavailable, err)
}

// refusesRoom reports whether the server has no room, or grants none.
func refusesRoom(err *jetstream.APIError) bool {
	switch err.ErrorCode {
	case codeInsufficientResources, codeAccountExceeded, codeMemoryExceeded, codeStorageExceeded, codeStoreFailed:
		return true
	}
	return false
}

// passes reports whether the server's answer may be another one soon: it is busy, or a member that a
// stream is to be placed on has just started.
func passes(err *jetstream.APIError) bool {
	return err.Code == 503 && !refusesRoom(err) || err.ErrorCode == codeNoPeers && strings.Contains(err.Description, "offline")
}

// gone says ErrUnavailable, or what the server's answer means. A stream that the server does
// not have is made again.
func (c *conn) gone(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return fmt.Errorf("%w: %w", logs.ErrGone, err)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		c.revive()
		return fmt.Errorf("%w: %w", logs.ErrUnavailable, err)
	}
	var answer *jetstream.APIError
	if errors.As(err, &answer) {
		if answer.ErrorCode == codeNotAvailable || answer.ErrorCode == codeOffline {
			c.revive()
		}
		return fmt.Errorf("%w: %w", logs.ErrUnavailable, err)
	}
	return unavailable(err)
}
