package coinbase

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/socket"
	"github.com/marketstream/marketstream/streamer/market"
)

// messagesPerSecond is how many messages a connection sends; the vendor allows 100 from an address.
const messagesPerSecond = 50

// session is one connection as Run's goroutine sees it.
type session struct {
	*Source
	ctx  context.Context
	c    *socket.Conn
	sink feed.Sink
	wm   *feed.Watermark

	products map[string]*product // by name in upper case: carried, or about to leave
	order    []*product          // those that are carried, as they were given
	batch    int                 // how many to ask for at once
	asked    *request            // the one message without an answer; nil: none
	paused   int64               // local ns until which nothing is subscribed to; 0: now
	pace     *rate.Limiter       // of messages to the vendor

	connected bool   // Connected was said,
	reason    string // with this reason
	words     string // the vendor's latest error
	unsettled int    // carried products whose newest id is not known

	frame     frame
	entry     market.Entry
	unflushed bool  // something was put since the last flush
	reached   int64 // local ns up to which all that the vendor sent was taken: late, if the sink is slow
	markedAt  int64 // when the last mark was looked for
	badLogged bool  // a frame that can't be read was logged
}

// product is a symbol on one connection.
type product struct {
	name     string // upper case, as the vendor has it
	number   uint32
	carried  bool
	keep     bool // only within carry
	state    state
	settled  bool   // its newest id is known, or the vendor does not know the product
	newest   uint64 // largest id that was said, as a trade or as Seen
	owed     uint64 // an id of a heartbeat that no trade has reached yet
	owedTime int64
}

type state uint8

const (
	waiting   state = iota // to be subscribed to, or asked for
	confirmed              // the vendor has it among the subscriptions
	refused                // the vendor does not know it
	dropping               // unsubscribing was asked for
)

func newSession(s *Source, c *socket.Conn, sink feed.Sink, wm *feed.Watermark) *session {
	return &session{Source: s, c: c, sink: sink, wm: wm, batch: s.opts.Batch, pace: rate.NewLimiter(messagesPerSecond, messagesPerSecond), products: map[string]*product{}}
}

// run takes what the connection says until it ends.
func (s *session) run(ctx context.Context) error {
	s.ctx = ctx
	s.wm.Hold(s.opts.now())
	if err := s.carry(); err != nil {
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
		if err := s.resume(); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		timer.Reset(s.patience())
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

// patience is how long it is until something is due though nothing comes: the end of a hold or of a pause.
func (s *session) patience() time.Duration {
	wait, now := int64(time.Hour), s.opts.now()
	if at, held := s.wm.HeldUntil(); held {
		wait = min(wait, at-now)
	}
	if s.paused != 0 {
		wait = min(wait, s.paused-now)
	}
	return time.Duration(max(wait, 0))
}

// block takes the frames of a block.
func (s *session) block(b *socket.Block) error {
	from := 0
	for i := range b.Items {
		it := &b.Items[i]
		text := b.Data[from:it.End]
		from = it.End
		if it.Sent != 0 {
			s.wm.Answered(it.Recv, it.Sent)
			s.reached = max(s.reached, it.Sent)
		} else if err := s.take(text, it.Recv); err != nil {
			return err
		}
		if i&63 == 63 || i == len(b.Items)-1 {
			if now := s.opts.now(); now-s.markedAt >= int64(s.opts.MarkEvery) {
				if err := s.mark(now); err != nil {
					return err
				}
			}
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
		}
	}
	if err := s.resume(); err != nil {
		return err
	}
	return s.overdue()
}

// take takes one frame, received at recv.
func (s *session) take(text []byte, recv int64) error {
	f := &s.frame
	if err := f.parse(text); err != nil {
		s.bad(err)
		return nil
	}
	switch f.kind {
	case subscriptions:
		return s.subscribed(text)
	case refusal:
		return s.refuse(socket.OneLine(f.message), socket.OneLine(f.reason))
	case other:
		return nil
	}
	p := s.products[string(f.product)]
	if p == nil || !p.carried {
		return nil // of a product that has just left
	}
	switch f.kind {
	case match:
		f.entry(&s.entry, p.number)
		if err := s.put(); err != nil {
			return err
		}
		s.counts.trades.Add(1)
		s.newest(p, f.id)
		s.event(recv, f.time)
		s.counts.lag.Store(s.opts.now() - f.time - s.counts.offset.Load())
	case lastMatch:
		return s.seen(p, f.id, f.time)
	case heartbeat:
		s.event(recv, f.time)
		return s.beat(p)
	}
	return nil
}

// bad counts a frame that can't be read. If it was a trade, its id is missed and it is found by that.
func (s *session) bad(err error) {
	s.counts.bad.Add(1)
	if !s.badLogged {
		s.badLogged = true
		s.opts.Log.Error(err, "a frame of the vendor can't be read; more of this connection are only counted")
	}
}

// beat takes the newest id that a heartbeat names. If its trade has not come, it is given
// until the next one: where the vendor's channels overtake each other by a moment, nothing
// was missed, and saying so would cost a repair.
func (s *session) beat(p *product) error {
	f := &s.frame
	if p.newest > 0 && f.id > p.newest && p.owed <= p.newest {
		p.owed, p.owedTime = f.id, f.time
		return nil
	}
	if p.owed > p.newest {
		id, at := p.owed, p.owedTime
		if f.id > id {
			p.owed, p.owedTime = f.id, f.time
		}
		return s.seen(p, id, at)
	}
	return s.seen(p, f.id, f.time)
}

// seen says that the venue's newest trade is id. A product that never traded has none.
func (s *session) seen(p *product, id uint64, at int64) error {
	defer s.newest(p, id)
	if id == 0 {
		return nil
	}
	s.entry = market.Entry{Kind: market.Seen, Symbol: p.number, Time: at, ID: id}
	return s.put()
}

// newest notes that id is known.
func (s *session) newest(p *product, id uint64) {
	p.newest = max(p.newest, id)
	if !p.settled {
		p.settled = true
		s.unsettled--
		s.release()
	}
}

// release lets the watermark go once every product is answered and its newest id known.
func (s *session) release() {
	if s.unsettled > 0 || s.asked != nil {
		return
	}
	for _, p := range s.order {
		if p.state == waiting {
			return
		}
	}
	s.wm.Release()
}

// event takes the exchange time of a trade or heartbeat.
func (s *session) event(recv, at int64) {
	plausible := s.wm.Event(recv, at)
	s.counts.ahead.Store(s.wm.Ahead())
	offset, _ := s.wm.Offset()
	if plausible {
		s.reached = max(s.reached, at+offset)
	}
	s.counts.offset.Store(offset)
}

// put puts s.entry.
func (s *session) put() error {
	if err := s.sink.Put(&s.entry); err != nil {
		return sinkError{err}
	}
	s.unflushed = true
	return nil
}

// mark puts the watermark if it has moved.
func (s *session) mark(now int64) error {
	s.markedAt = now
	at, moved := s.wm.Mark(now)
	if !moved {
		return nil
	}
	s.entry = market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: at}
	return s.put()
}

// flush passes on what was put, with the watermark of now: Run is going to wait.
func (s *session) flush() error {
	if err := s.mark(s.opts.now()); err != nil {
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
