package polygon

import (
	"encoding/json"
	"errors"
	"fmt"
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
	take   func(*event) error // event, bound once
	recv   int64              // of the frame that is being taken

	stage              stage
	until              int64              // local ns: what the vendor sent by then completes the handshake
	symbols            map[string]*symbol // by topic name: carried, or about to leave
	order              []*symbol          // those that are carried, as they were given
	asked              *request           // the one message without a whole answer; nil: none
	happened, reported bool               // a trade said when it happened; one said when it was reported alone
	plain              bool               // the plan has neither bars of seconds nor price bands
	words              string             // the vendor's latest error
}

// symbol is one on one connection.
type symbol struct {
	name     string // as the vendor has it
	number   uint32
	carried  bool
	keep     bool // only within Carry
	state    state
	extras   bool // the bars of seconds were asked for
	told     bool // that it is confirmed
	fromNs   int64
	seconds  seconds
	complain int64 // the minute in which a second was last found to lack trades
}

type state uint8

const (
	waiting state = iota // to be subscribed to, or asked for
	confirmed
	refused
)

// request is a message of ours that has no whole answer yet. The vendor answers each topic, an error without its name.
type request struct {
	symbols  []*symbol
	extras   bool // bars of seconds and price bands; else trades
	topics   int
	answered int
	errors   int
	until    int64 // local ns: what the vendor sent by then holds the answers
}

func newSession(src *Source, l *link.Session) *session {
	s := &session{Session: l, src: src, symbols: map[string]*symbol{}, until: src.Now() + int64(src.opts.AnswerWithin), plain: src.opts.Unchecked}
	s.take = s.event
	return s
}

// Carry implements [link.Speaker].
func (s *session) Carry() error {
	for _, x := range s.symbols {
		x.keep = false
	}
	s.order = s.order[:0]
	for _, sym := range s.Symbols() {
		name := s.src.topicName(sym.Name)
		x := s.symbols[name]
		if x == nil {
			x = &symbol{name: name}
			s.symbols[name] = x
		}
		if !x.carried && x.state == refused {
			x.state = waiting // ask again
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
func (s *session) Due(int64) (int64, error) {
	if s.stage != open {
		if s.Reached() >= s.until {
			return 0, link.Unanswered([...]string{"the connection with a word", "the key"}[s.stage], s.src.opts.AnswerWithin)
		}
		return 0, nil
	}
	if a := s.asked; a != nil && s.Reached() >= a.until {
		if a.answered == 0 && !a.extras {
			return 0, link.Unanswered(fmt.Sprintf("a subscription to %d symbols", len(a.symbols)), s.src.opts.AnswerWithin)
		}
		return 0, s.answered(true)
	}
	return 0, nil
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

// event takes one event of a frame.
func (s *session) event(e *event) error {
	switch e.kind {
	case trade:
		x := s.symbols[string(e.symbol)]
		if x == nil || !x.carried {
			return nil // of a symbol that has just left
		}
		s.learn(e)
		e.entry.Symbol = x.number
		if !s.plain {
			x.seconds.add(e)
		}
		s.Event(s.recv, e.sent)
		return s.Trade(&e.entry, e.sent)
	case second:
		if x := s.symbols[string(e.symbol)]; x != nil && x.carried {
			return s.check(x, e)
		}
	case limits:
		s.src.limits.Add(1)
		s.src.Log.V(1).Info("price bands", "symbol", string(e.symbol), "indicators", string(e.indicators))
	case status:
		return s.status(string(e.status), string(e.message))
	case malformed:
		err := fmt.Errorf("%s: %s is missing or can't be read", shown(e.text), e.wrong)
		if x := s.symbols[string(e.symbol)]; x != nil && x.carried && e.sent != 0 {
			return s.Bad(err, x.number, e.sent)
		}
		return s.Bad(err, market.AllSymbols, 0)
	}
	return nil
}

// learn notes whether trades say when they happened: REST does, and what it has is to be what the WebSocket said.
func (s *session) learn(e *event) {
	switch {
	case e.happened && !s.happened:
		s.happened = true
		s.src.reportedOnly.Store(false)
	case !e.happened && !s.happened && !s.reported:
		s.reported = true
		s.src.reportedOnly.Store(true)
	}
}

// status takes what the vendor says of the connection.
func (s *session) status(what, message string) error {
	said := fmt.Errorf("the vendor says: %s: %s", what, socket.OneLine([]byte(message)))
	switch what {
	case "connected":
		if s.stage != greeting {
			return nil
		}
		key, err := s.src.key.Key()
		if err != nil {
			return &link.KeyError{Err: err}
		}
		s.stage, s.until = proving, s.src.Now()+int64(s.src.opts.AnswerWithin)
		return s.say("auth", key[0])
	case "auth_success":
		if s.stage == proving {
			s.stage = open
		}
		return s.advance()
	case "auth_failed":
		s.Refused()
		return &link.KeyError{Err: fmt.Errorf("the key was refused: %w", said)}
	case "auth_timeout":
		s.Refused()
		return said
	case "max_connections": // after success, and whoever of the account's connections it is that dies
		s.Refused()
		return &link.LimitError{Err: said}
	case "success":
		if topic, ok := strings.CutPrefix(message, "subscribed to: "); ok {
			return s.subscribed(strings.TrimSpace(topic))
		}
	case "error":
		s.Refused()
		s.words = socket.OneLine([]byte(message))
		if s.stage != open {
			return said
		}
		if s.asked == nil {
			s.src.Log.Info("the vendor reports an error", "vendor", s.src.key.Hide(s.words))
			return nil
		}
		s.asked.errors++
		return s.answered(false)
	}
	return nil
}

// subscribed takes the answer to one topic.
func (s *session) subscribed(topic string) error {
	channel, name, _ := strings.Cut(topic, ".")
	x := s.symbols[name]
	if a := s.asked; a == nil || x == nil {
		return nil
	}
	s.asked.answered++
	if (channel == "T" || channel == "XT") && x.state == waiting {
		x.state, x.fromNs = confirmed, s.ExchangeNow()
		if x.carried {
			s.Cover(x.name)
		}
	}
	return s.answered(false)
}

// answered goes on once every topic of the message is answered, or late.
func (s *session) answered(late bool) error {
	a := s.asked
	if !late && a.answered+a.errors < a.topics {
		return nil
	}
	s.asked = nil
	if a.extras {
		if a.errors > 0 && !s.plain {
			s.plain = true
			s.src.Log.Info("the plan has no bars of seconds or no price bands: trades are not checked by them", "vendor", s.src.key.Hide(s.words))
		}
		return s.advance()
	}
	some := false
	for _, x := range a.symbols {
		if x.state == waiting {
			x.state = refused
			if x.carried {
				s.Cover(x.name) // it is reported by the status
			}
		}
	}
	for _, x := range s.order {
		some = some || x.state == confirmed
	}
	if !some && a.errors > 0 {
		return &link.KeyError{Err: fmt.Errorf("the plan does not have these trades: the vendor says: %s", s.words)}
	}
	return s.advance()
}

// advance sends the next message, if none is without an answer: who leaves, whose trades are wanted, then what they are checked by.
func (s *session) advance() error {
	if s.stage != open || s.asked != nil {
		return nil
	}
	var leaving []string
	for name, x := range s.symbols {
		if !x.carried {
			if x.state == confirmed {
				leaving = append(leaving, s.topics(name, true, x.extras)...)
			}
			delete(s.symbols, name)
		}
	}
	for len(leaving) > 0 {
		n := min(len(leaving), s.src.opts.Batch)
		if err := s.say("unsubscribe", strings.Join(leaving[:n], ",")); err != nil {
			return err
		}
		leaving = leaving[n:]
	}
	if err := s.ask(false); err != nil || s.asked != nil {
		return err
	}
	if err := s.settle(); err != nil || s.plain {
		return err
	}
	return s.ask(true)
}

// ask subscribes to the next symbols.
func (s *session) ask(extras bool) error {
	a := &request{extras: extras, until: s.src.Now() + int64(s.src.opts.AnswerWithin)}
	var topics []string
	for _, x := range s.order {
		if !extras && x.state != waiting || extras && (x.state != confirmed || x.extras) {
			continue
		}
		more := s.topics(x.name, !extras, extras)
		if len(topics)+len(more) > s.src.opts.Batch && len(topics) > 0 {
			break
		}
		topics = append(topics, more...)
		a.symbols = append(a.symbols, x)
		x.extras = x.extras || extras
	}
	if a.topics = len(topics); a.topics == 0 {
		return nil
	}
	s.asked = a
	return s.say("subscribe", strings.Join(topics, ","))
}

// topics are those of a symbol.
func (s *session) topics(name string, trades, extras bool) (topics []string) {
	channels, more := []string{"T."}, []string{"A.", "LULD."}
	if s.src.opts.Crypto {
		channels, more = []string{"XT."}, nil // sizes of crypto have more decimals than its bars tell exactly
	}
	if !trades {
		channels = nil
	}
	if extras {
		channels = append(channels, more...)
	}
	for _, c := range channels {
		topics = append(topics, c+name)
	}
	return topics
}

// settle: the trades of every symbol are asked for and answered.
func (s *session) settle() error {
	var unknown []string
	var late []uint32
	for _, x := range s.order {
		if x.state == refused {
			unknown = append(unknown, x.name)
		}
		if x.state == confirmed && !x.told && s.Moving() {
			late = append(late, x.number)
		}
		x.told = x.state == confirmed
	}
	reason := ""
	if len(unknown) > 0 {
		const most = 10
		reason = fmt.Sprintf("%d of %d symbols are refused (the vendor says: %s): %s", len(unknown), len(s.order), s.src.key.Hide(s.words), strings.Join(unknown[:min(len(unknown), most)], ", "))
		if len(unknown) > most {
			reason += ", …"
		}
	}
	return s.Confirmed(len(unknown), reason, late...)
}

// say sends one message.
func (s *session) say(action, params string) error {
	text, err := json.Marshal(struct {
		Action string `json:"action"`
		Params string `json:"params"`
	}{action, params})
	if err != nil {
		return err
	}
	return s.Write(text)
}
