package link

import (
	"context"
	"fmt"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/socket"
	"github.com/marketstream/marketstream/streamer/market"
)

// Speaker is what a vendor makes of one connection. Run's goroutine calls it.
type Speaker interface {
	// Carry takes up the symbols that are carried now: at the beginning and whenever they have changed.
	Carry() error
	// Frame takes one frame, received at recv (local ns). The text is the session's again at return.
	Frame(text []byte, recv int64) error
	// Due does what is due, and returns when it wants to be called again at the latest, local ns; 0: at the next frame.
	Due(now int64) (at int64, err error)
}

// Session is one connection as Run's goroutine sees it.
type Session struct {
	*Link
	ctx  context.Context
	c    *socket.Conn
	sink feed.Sink
	wm   *feed.Watermark

	speaker   Speaker
	connected bool   // Connected was said,
	reason    string // with this reason
	gap       int64  // from where on nothing was observed before this connection, exchange's ns; 0: all was, or it was said
	marked    int64  // the newest mark, exchange's ns

	entry     market.Entry
	unflushed bool  // something was put since the last flush
	reached   int64 // local ns up to which all that the vendor sent was taken: late, if the sink is slow
	markedAt  int64 // when the last mark was looked for
	lookedAt  int64 // when the key was last looked at
	badLogged bool  // a frame that can't be read was logged
}

// run takes what the connection says until it ends.
func (s *Session) run(ctx context.Context, speaker func(*Session) Speaker) error {
	s.ctx = ctx
	s.wm.Hold(s.Now())
	s.lookedAt = s.Now()
	s.speaker = speaker(s)
	if err := s.speaker.Carry(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	spare := &socket.Block{}
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-s.changed:
			if err := s.carry(); err != nil {
				return err
			}
		default:
		}
		full, failed := s.c.Frames.Take(spare)
		if full != nil {
			if err := s.block(full); err != nil {
				return err
			}
			spare = full
			spare.Reset()
			continue
		}
		if failed != nil {
			if err := s.flush(); err != nil {
				return err
			}
			return failed
		}
		at, err := s.due()
		if err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		timer.Reset(s.patience(at))
		select {
		case <-s.c.Frames.Ready:
		case <-s.changed:
			if err := s.carry(); err != nil {
				return err
			}
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

func (s *Session) carry() error {
	if len(s.Symbols()) == 0 {
		return ErrIdle
	}
	return s.speaker.Carry()
}

// due does what is due: the speaker's, and a look at the key.
func (s *Session) due() (at int64, err error) {
	now := s.Now()
	if now-s.lookedAt >= int64(s.KeyEvery) {
		if s.lookedAt = now; s.Key.Look() {
			return 0, errKeyChanged
		}
	}
	return s.speaker.Due(now)
}

// patience is how long it is until something is due though nothing comes.
func (s *Session) patience(at int64) time.Duration {
	now := s.Now()
	wait := int64(s.KeyEvery)
	if held, ok := s.wm.HeldUntil(); ok {
		wait = min(wait, held-now)
	}
	if at != 0 {
		wait = min(wait, at-now)
	}
	return time.Duration(max(wait, 0))
}

// block takes the frames of a block.
func (s *Session) block(b *socket.Block) error {
	from := 0
	for i := range b.Items {
		it := &b.Items[i]
		text := b.Data[from:it.End]
		from = it.End
		if it.Sent != 0 {
			s.wm.Answered(it.Recv, it.Sent)
			s.reached = max(s.reached, it.Sent)
		} else if err := s.speaker.Frame(text, it.Recv); err != nil {
			return err
		}
		if i&15 == 15 || i == len(b.Items)-1 {
			if now := s.Now(); now-s.markedAt >= int64(s.MarkEvery) {
				if err := s.mark(now); err != nil {
					return err
				}
			}
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
		}
	}
	_, err := s.due()
	return err
}

// Write sends one message.
func (s *Session) Write(message []byte) error { return s.c.Write(s.ctx, message) }

// Reached is up to when, local ns, all that the vendor sent was taken. An answer that was asked for before a ping stands
// before the ping's answer, however slow the sink is.
func (s *Session) Reached() int64 { return s.reached }

// Event takes the exchange time of something that the vendor has just said.
func (s *Session) Event(recv, at int64) {
	plausible := s.wm.Event(recv, at)
	s.counts.ahead.Store(s.wm.Ahead())
	offset, _ := s.wm.Offset()
	if plausible {
		s.reached = max(s.reached, at+offset)
	}
	s.counts.offset.Store(offset)
}

// Trade puts a trade that was sent at an exchange time.
func (s *Session) Trade(e *market.Entry, sent int64) error {
	if err := s.Put(e); err != nil {
		return err
	}
	s.counts.trades.Add(1)
	s.counts.lag.Store(s.Now() - sent - s.counts.offset.Load())
	return nil
}

// Put puts an entry.
func (s *Session) Put(e *market.Entry) error {
	if err := s.sink.Put(e); err != nil {
		return sinkError{err}
	}
	s.unflushed = true
	return nil
}

// ExchangeNow is the exchange's clock, as far as it is known.
func (s *Session) ExchangeNow() int64 {
	offset, _ := s.wm.Offset()
	return s.Now() - offset
}

// Hole says that [from, to) of a symbol, or of market.AllSymbols, was not observed.
func (s *Session) Hole(symbol uint32, from, to int64) error {
	if from -= int64(s.Reports); s.Gapless || to <= from {
		return nil
	}
	s.entry = market.Entry{Kind: market.Hole, Symbol: symbol, Time: from, Until: to, Reason: market.GapDisconnect}
	return s.Put(&s.entry)
}

// Bad counts a frame, or a part of one, that can't be read, and says that what it held was not observed: of a symbol from an
// exchange time on, or, with 0, from the watermark on.
func (s *Session) Bad(err error, symbol uint32, from int64) error {
	s.counts.bad.Add(1)
	if !s.badLogged {
		s.badLogged = true
		s.Log.Error(s.Key.Clean(err), "a frame of the vendor can't be read; more of this connection are only counted")
	}
	to := from + 1e6
	if from == 0 {
		if from, to = s.marked, s.ExchangeNow(); from == 0 {
			from = to - 1e9
		}
	}
	return s.Hole(symbol, from, to)
}

// Refused counts an error of the vendor.
func (s *Session) Refused() { s.counts.refusals.Add(1) }

// Confirmed says that every symbol is answered; the watermark moves from now on. late are symbols that were confirmed after
// it had begun to move without them.
func (s *Session) Confirmed(unknown int, reason string, late ...uint32) error {
	if err := s.Settled(unknown, late...); err != nil {
		return err
	}
	if s.connected && reason == s.reason {
		return nil
	}
	if reason != "" {
		s.Log.Info("not all symbols are subscribed to", "why", reason)
	}
	s.connected, s.reason = true, reason
	s.sink.Status(feed.Status{State: feed.Connected, Reason: reason})
	return nil
}

// Settled is Confirmed without a status: what was said stands.
func (s *Session) Settled(unknown int, late ...uint32) error {
	s.counts.unknown.Store(int64(unknown))
	for _, symbol := range late {
		if err := s.Hole(symbol, s.marked, s.ExchangeNow()); err != nil {
			return err
		}
	}
	s.wm.Release()
	return nil
}

// Limited says that the vendor allows no more of what was asked for last, while the connection lives on.
func (s *Session) Limited(reason string) {
	s.counts.limited.Add(1)
	s.connected = false
	s.sink.Status(feed.Status{State: feed.Limited, Reason: reason})
}

// Moving reports whether the watermark has moved on this connection.
func (s *Session) Moving() bool { return s.marked != 0 }

// ended is from where on nothing is observed once the session is over.
func (s *Session) ended() int64 {
	if s.marked == 0 { // it has said nothing
		return s.gap
	}
	return s.marked
}

// mark puts the watermark if it has moved. Before the first time, what was missed before the connection is said.
func (s *Session) mark(now int64) error {
	s.markedAt = now
	at, moved := s.wm.Mark(now)
	if !moved {
		return nil
	}
	if s.gap != 0 {
		if err := s.Hole(market.AllSymbols, s.gap, max(s.ExchangeNow(), at)); err != nil {
			return err
		}
		s.gap = 0
	}
	s.marked = at
	s.entry = market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: at}
	return s.Put(&s.entry)
}

// flush passes on what was put, with the watermark of now: Run is going to wait.
func (s *Session) flush() error {
	if err := s.mark(s.Now()); err != nil {
		return err
	}
	if !s.unflushed {
		return nil
	}
	s.unflushed = false
	if err := s.sink.Flush(); err != nil {
		return sinkError{err}
	}
	return nil
}

// errUnanswered says that a vendor did not answer in time.
type errUnanswered struct {
	what   string
	within time.Duration
}

func (e errUnanswered) Error() string {
	return fmt.Sprintf("the vendor did not answer %s within %v", e.what, e.within.Round(time.Millisecond))
}

// Unanswered is the error of a connection whose vendor did not answer in time.
func Unanswered(what string, within time.Duration) error { return errUnanswered{what, within} }
