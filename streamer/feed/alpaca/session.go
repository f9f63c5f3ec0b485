package alpaca

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/marketstream/marketstream/streamer/feed/link"
	"github.com/marketstream/marketstream/streamer/feed/socket"
	"github.com/marketstream/marketstream/streamer/market"
)

// stage is how far a handshake has come.
type stage uint8

const (
	greeting stage = iota // the vendor is to say "connected"
	proving               // the key was sent
	open
)

// session is one connection as Run's goroutine sees it.
type session struct {
	*link.Session
	src    *Source
	parser parser
	take   func(*message) error // message, bound once
	recv   int64                // of the frame that is being taken
	memory memory
	entry  market.Entry

	stage   stage
	until   int64              // local ns: what the vendor sent by then completes the handshake
	symbols map[string]*symbol // by the vendor's name: carried, or about to leave
	order   []*symbol          // those that are carried, as they were given
	asked   *request           // the one message without an answer; nil: none
	batch   int                // how many to ask for at once
	paused  int64              // local ns until which nothing more is subscribed to; 0: now
	plain   bool               // the feed has no halts
	words   string             // the vendor's latest error
}

// symbol is one on one connection.
type symbol struct {
	name    string // as the vendor has it
	number  uint32
	carried bool
	keep    bool // only within Carry
	state   state
	halts   bool // they were asked for
	told    bool // that it is confirmed
}

type state uint8

const (
	waiting state = iota // to be subscribed to, or asked for
	confirmed
	refused
	dropping // unsubscribing was asked for
)

// request is a message of ours that has no answer yet. There is one at a time: an error does not say what it is about.
type request struct {
	what    string
	symbols []*symbol
	halts   bool
	until   int64 // local ns: what the vendor sent by then holds the answer
}

func newSession(src *Source, l *link.Session) *session {
	s := &session{Session: l, src: src, symbols: map[string]*symbol{}, batch: src.opts.Batch, memory: newMemory(src.opts.Remembered),
		until: src.Now() + int64(src.opts.AnswerWithin), plain: src.opts.Feed != IEX && src.opts.Feed != SIP}
	s.take = s.message
	return s
}

// Carry implements [link.Speaker].
func (s *session) Carry() error {
	for _, x := range s.symbols {
		x.keep = false
	}
	s.order = s.order[:0]
	for _, sym := range s.Symbols() {
		name := s.src.name(sym.Name)
		x := s.symbols[name]
		if x == nil {
			x = &symbol{name: name}
			s.symbols[name] = x
		}
		if !x.carried {
			switch x.state {
			case refused:
				x.state = waiting // ask again
			case confirmed:
				s.Cover(name) // it was to leave and did not yet
			}
		}
		x.keep, x.carried, x.number = true, true, sym.Number
		s.order = append(s.order, x)
	}
	var gone []string
	for name, x := range s.symbols {
		if !x.keep && x.carried {
			x.carried = false
			gone = append(gone, name)
		}
	}
	s.Uncover(gone...)
	return s.advance()
}

// Due implements [link.Speaker]. What counts is not the time that has passed but how far one has read: an answer may stand behind
// much that a slow sink has yet to take.
func (s *session) Due(now int64) (int64, error) {
	if s.stage != open {
		if s.Reached() >= s.until {
			return 0, link.Unanswered([...]string{"the connection with a word", "the key"}[s.stage], s.src.opts.AnswerWithin)
		}
		return 0, nil
	}
	if a := s.asked; a != nil && s.Reached() >= a.until {
		return 0, link.Unanswered(fmt.Sprintf("%s of %d symbols", a.what, len(a.symbols)), s.src.opts.AnswerWithin)
	}
	if s.paused != 0 && now >= s.paused {
		s.paused = 0
		for _, x := range s.order {
			if x.state == refused {
				x.state = waiting
			}
		}
		return 0, s.advance()
	}
	return s.paused, nil
}

// Frame implements [link.Speaker].
func (s *session) Frame(text []byte, recv int64) error {
	s.recv = recv
	err := s.parser.each(text, s.take)
	if err != nil && errors.Is(err, errBroken) {
		return s.Bad(fmt.Errorf("%s: %w", shown(text), err), market.AllSymbols, 0)
	}
	return err
}

// carried is a message's symbol; nil: it has just left.
func (s *session) carried(m *message) *symbol {
	x := s.symbols[string(m.symbol)]
	if x == nil || !x.carried {
		return nil
	}
	return x
}

// message takes one message of a frame.
func (s *session) message(m *message) error {
	switch m.kind {
	case trade:
		x := s.carried(m)
		if x == nil {
			return nil
		}
		m.entry.Symbol = x.number
		s.memory.add(&m.entry)
		s.Event(s.recv, m.sent)
		return s.Trade(&m.entry, m.sent)
	case correction:
		if x := s.carried(m); x != nil {
			s.src.corrected.Add(1)
			return s.correct(x, m)
		}
	case cancellation:
		if x := s.carried(m); x != nil {
			s.src.cancelled.Add(1)
			m.entry.Symbol = x.number
			return s.cancel(&m.entry)
		}
	case halt:
		s.src.halts.Add(1)
		s.src.Log.Info("the state of a symbol", "symbol", string(m.symbol), "state", socket.OneLine(m.state), "reason", socket.OneLine(m.reason))
	case success:
		return s.success(string(m.message))
	case refusal:
		return s.refuse(m.code, socket.OneLine(m.message))
	case subscription:
		return s.subscribed(m.trades)
	case malformed:
		err := fmt.Errorf("%s: %s is missing or can't be read", shown(m.text), m.wrong)
		if x := s.symbols[string(m.symbol)]; x != nil && x.carried && m.sent != 0 {
			return s.Bad(err, x.number, m.sent)
		}
		return s.Bad(err, market.AllSymbols, 0)
	}
	return nil
}

func (s *session) success(text string) error {
	switch text {
	case "connected":
		if s.stage != greeting {
			return nil
		}
		key, err := s.src.key.Key()
		if err != nil {
			return &link.KeyError{Err: err}
		}
		if len(key) != 2 {
			return &link.KeyError{Err: errors.New("the key: want its id and its secret")}
		}
		s.stage, s.until = proving, s.src.Now()+int64(s.src.opts.AnswerWithin)
		return s.say(map[string]any{"action": "auth", "key": key[0], "secret": key[1]})
	case "authenticated":
		if s.stage != open {
			s.stage = open
			return s.advance()
		}
	}
	return nil
}

// refuse takes an error. Each code has a meaning of its own.
func (s *session) refuse(code int, text string) error {
	s.Refused()
	s.words = fmt.Sprintf("%d %s", code, text)
	said := fmt.Errorf("the vendor says: %s", s.words)
	switch code {
	case 402: // auth failed
		return &link.KeyError{Err: fmt.Errorf("the key was refused: %w", said)}
	case 409, 411: // insufficient subscription, insufficient scope
		if s.asked != nil && s.asked.halts {
			return s.withoutHalts()
		}
		return &link.KeyError{Err: fmt.Errorf("the plan does not have this feed: %w", said)}
	case 406: // connection limit exceeded: another connection of the account lives, and this one is refused
		return &link.LimitError{Err: fmt.Errorf("another connection holds the account: %w", said)}
	case 407: // slow client
		return fmt.Errorf("the vendor ended the connection because it was not read fast enough: %w", said)
	case 405: // symbol limit exceeded
		return s.limited(said)
	case 403: // already authenticated
		s.src.Log.V(1).Info("the vendor reports an error", "vendor", s.src.key.Hide(s.words))
		return nil
	case 400, 410: // invalid syntax, invalid subscribe action for this feed
		if s.asked != nil && s.asked.halts {
			return s.withoutHalts()
		}
		return fmt.Errorf("the vendor does not take a message: %w", said)
	}
	// 401 not authenticated, 404 auth timeout, 500 internal error, and what is to come
	return said
}

// withoutHalts: the feed has none; trades go on.
func (s *session) withoutHalts() error {
	s.plain, s.asked = true, nil
	s.src.Log.Info("the feed says nothing of halts", "vendor", s.src.key.Hide(s.words))
	return s.advance()
}

// limited takes it that a subscription is for more symbols than the account may have: smaller batches find how many it may, and
// the rest is asked for again after a while.
func (s *session) limited(said error) error {
	a := s.asked
	if a == nil || a.what != "subscribe" {
		return &link.LimitError{Err: said}
	}
	s.asked = nil
	if len(a.symbols) > 1 {
		s.batch = (len(a.symbols) + 1) / 2
		return s.advance()
	}
	some := false
	left := 0
	for _, x := range s.order {
		some = some || x.state == confirmed
		if x.state == waiting {
			x.state = refused
			left++
		}
	}
	if !some {
		return &link.LimitError{Err: said}
	}
	wait := s.src.LimitedWait + s.src.Draw(s.src.LimitedWait/2)
	s.paused = s.src.Now() + int64(wait)
	s.Limited(fmt.Sprintf("%v; %d of %d symbols are not subscribed to, asking again in %v", s.src.key.Clean(said), left, len(s.order), wait.Round(1e6)))
	return s.advance()
}

// subscribed takes the vendor's answer: all that is subscribed to.
func (s *session) subscribed(trades []byte) error {
	a := s.asked
	if a == nil {
		return nil
	}
	var names []string
	if len(trades) > 0 {
		if err := json.Unmarshal(trades, &names); err != nil {
			return s.Bad(fmt.Errorf("%s: %w", shown(trades), err), market.AllSymbols, 0)
		}
	}
	s.asked = nil
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for _, x := range a.symbols {
		switch {
		case a.halts:
		case a.what == "unsubscribe":
			x.state = waiting
		case there[x.name]:
			x.state = confirmed
		default:
			x.state = refused
			s.words = "left out of the answer to a subscription"
		}
		if !a.halts && a.what == "subscribe" && x.carried {
			s.Cover(x.name)
		}
	}
	if a.what == "subscribe" && !a.halts && s.paused == 0 {
		s.batch = min(s.batch*2, s.src.opts.Batch)
	}
	return s.advance()
}

// advance sends the next message, if none is without an answer: who leaves, whose trades are wanted, then their halts.
func (s *session) advance() error {
	if s.stage != open || s.asked != nil {
		return nil
	}
	var leaving, coming, halts []*symbol
	for name, x := range s.symbols {
		switch {
		case x.carried:
		case x.state == confirmed:
			if len(leaving) < s.src.opts.Batch {
				x.state = dropping
				leaving = append(leaving, x)
			}
		default:
			delete(s.symbols, name)
		}
	}
	for _, x := range s.order {
		if x.state == waiting && s.paused == 0 && len(coming) < s.batch {
			coming = append(coming, x)
		}
		if x.state == confirmed && !x.halts && len(halts) < s.src.opts.Batch {
			halts = append(halts, x)
		}
	}
	switch {
	case len(leaving) > 0:
		return s.ask("unsubscribe", leaving, false)
	case len(coming) > 0:
		return s.ask("subscribe", coming, false)
	}
	if err := s.settle(); err != nil || s.plain || len(halts) == 0 {
		return err
	}
	for _, x := range halts {
		x.halts = true
	}
	return s.ask("subscribe", halts, true)
}

// ask sends one message. Whoever subscribes to trades gets their corrections and cancels too.
func (s *session) ask(what string, symbols []*symbol, halts bool) error {
	s.asked = &request{what: what, symbols: symbols, halts: halts, until: s.src.Now() + int64(s.src.opts.AnswerWithin)}
	names := make([]string, len(symbols))
	for i, x := range symbols {
		names[i] = x.name
	}
	m := map[string]any{"action": what, "trades": names}
	if halts {
		m = map[string]any{"action": what, "statuses": names}
	} else if what == "unsubscribe" && !s.plain {
		m["statuses"] = names
	}
	return s.say(m)
}

// settle: the trades of every symbol are asked for and answered, as far as they may be.
func (s *session) settle() error {
	var unknown []string
	var late []uint32
	for _, x := range s.order {
		if x.state == refused {
			unknown = append(unknown, x.name)
			s.Cover(x.name) // it is reported by the status
		}
		if x.state == confirmed && !x.told && s.Moving() {
			late = append(late, x.number)
		}
		x.told = x.state == confirmed
	}
	if s.paused != 0 { // the status says Limited
		return s.Settled(len(unknown), late...)
	}
	reason := ""
	if len(unknown) > 0 {
		const most = 10
		slices.Sort(unknown)
		reason = fmt.Sprintf("%d of %d symbols are refused (the vendor says: %s): %s", len(unknown), len(s.order), s.src.key.Hide(s.words), strings.Join(unknown[:min(len(unknown), most)], ", "))
		if len(unknown) > most {
			reason += ", …"
		}
	}
	return s.Confirmed(len(unknown), reason, late...)
}

// say sends one message.
func (s *session) say(m map[string]any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.Write(text)
}
