package coinbase

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
)

// request is a message of ours that has no answer yet. There is one at a time: the vendor's
// answers do not say what they answer.
type request struct {
	unsubscribe bool
	products    []*product // those that are still to be answered
	partial     bool       // an answer left some of them out
	until       int64      // local ns: what the vendor sent by then holds the answer
}

// message is what we say.
type message struct {
	Type     string   `json:"type"`
	Products []string `json:"product_ids"`
	Channels []string `json:"channels"`
}

// answer is the vendor's: all that is subscribed to.
type answer struct {
	Channels []struct {
		Name     string   `json:"name"`
		Products []string `json:"product_ids"`
	} `json:"channels"`
}

// carry takes up the symbols that are carried now.
func (s *session) carry() error {
	symbols := s.symbols()
	if len(symbols) == 0 {
		return errIdle
	}
	for _, p := range s.products {
		p.keep = false
	}
	s.order = s.order[:0]
	for _, sym := range symbols {
		name := strings.ToUpper(sym.Name)
		p := s.products[name]
		if p == nil {
			p = &product{name: name}
			s.products[name] = p
		}
		if !p.carried {
			p.carried = true
			p.settled = false
			s.unsettled++
			switch p.state {
			case confirmed: // it was to leave and did not yet
				s.cover([]*product{p})
				s.newest(p, p.newest)
			case refused: // ask again
				p.state = waiting
			}
		}
		p.keep, p.number = true, sym.Number
		s.order = append(s.order, p)
	}
	var gone []*product
	for _, p := range s.products {
		if !p.keep && p.carried {
			p.carried = false
			if !p.settled {
				s.unsettled--
			}
			gone = append(gone, p)
		}
	}
	if len(gone) > 0 {
		s.uncover(gone)
	}
	return s.advance()
}

// advance sends the next message, if none is without an answer.
func (s *session) advance() error {
	if s.asked != nil {
		return nil
	}
	var leaving []*product
	for name, p := range s.products {
		switch {
		case p.carried:
		case p.state == confirmed:
			if len(leaving) < s.opts.Batch {
				leaving = append(leaving, p)
			}
		default:
			delete(s.products, name)
		}
	}
	if len(leaving) > 0 {
		for _, p := range leaving {
			p.state = dropping
		}
		return s.ask("unsubscribe", leaving)
	}
	if s.paused != 0 {
		return nil
	}
	var coming []*product
	for _, p := range s.order {
		if p.state == waiting && len(coming) < s.batch {
			coming = append(coming, p)
		}
	}
	if len(coming) > 0 {
		return s.ask("subscribe", coming)
	}
	s.settle()
	return nil
}

// settle: everything is answered.
func (s *session) settle() {
	s.release()
	var unknown []string
	for _, p := range s.order {
		if p.state == refused {
			unknown = append(unknown, p.name)
		}
	}
	s.counts.unknown.Store(int64(len(unknown)))
	reason := ""
	if len(unknown) > 0 {
		const most = 10
		reason = fmt.Sprintf("%d of %d symbols are not known to Coinbase: %s", len(unknown), len(s.order), strings.Join(unknown[:min(len(unknown), most)], ", "))
		if len(unknown) > most {
			reason += ", …"
		}
	}
	if s.connected && reason == s.reason {
		return
	}
	if reason != "" {
		s.opts.Log.Info("some symbols are not known to the vendor", "why", reason, "vendor", s.words)
	}
	s.connected, s.reason = true, reason
	s.sink.Status(feed.Status{State: feed.Connected, Reason: reason})
}

// ask sends one message.
func (s *session) ask(what string, products []*product) error {
	m := message{Type: what, Channels: []string{"matches", "heartbeat"}}
	for _, p := range products {
		m.Products = append(m.Products, p.name)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.asked = &request{unsubscribe: what == "unsubscribe", products: products, until: s.opts.now() + int64(s.opts.AnswerWithin)}
	if err := s.pace.Wait(s.ctx); err != nil {
		return err
	}
	return s.c.Write(s.ctx, text)
}

// subscribed takes the vendor's answer: what has come in, what has left.
func (s *session) subscribed(text []byte) error {
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		s.bad(fmt.Errorf("%s: %w", shown(text), err))
		return nil
	}
	if s.asked == nil {
		return nil
	}
	there := map[string]bool{}
	for _, c := range a.Channels {
		if c.Name == "matches" {
			for _, name := range c.Products {
				there[strings.ToUpper(name)] = true
			}
		}
	}
	var open, done []*product
	for _, p := range s.asked.products {
		if there[p.name] == s.asked.unsubscribe {
			open = append(open, p)
		} else {
			done = append(done, p)
		}
	}
	s.asked.products, s.asked.partial = open, len(done) > 0
	if s.asked.unsubscribe {
		for _, p := range done {
			p.state, p.newest, p.owed = waiting, 0, 0
		}
	} else {
		for _, p := range done {
			p.state = confirmed
		}
		s.cover(carried(done))
	}
	if len(open) > 0 {
		return nil
	}
	s.asked = nil
	s.batch = min(s.batch*2, s.opts.Batch)
	return s.advance()
}

// carried are those of products that did not leave meanwhile.
func carried(products []*product) []*product {
	var some []*product
	for _, p := range products {
		if p.carried {
			some = append(some, p)
		}
	}
	return some
}

// refuse takes an error of the vendor. A subscription that names a product that it does not
// know is ignored as a whole: the product is left out and the rest asked for again. Where
// the vendor does not say which one it is, smaller batches find it.
func (s *session) refuse(message, reason string) error {
	s.counts.refusals.Add(1)
	text := message + ": " + reason
	var named, rest []*product
	bare := strings.ToUpper(text)
	if s.asked != nil {
		for _, p := range s.asked.products {
			if names(text, p.name) {
				named = append(named, p)
				bare = strings.ReplaceAll(bare, p.name, "")
			} else {
				rest = append(rest, p)
			}
		}
	}
	if limits(bare) {
		return s.limited(text)
	}
	if s.asked == nil || s.asked.unsubscribe {
		s.words = text
		s.opts.Log.Info("the vendor reports an error", "vendor", text)
		return nil
	}
	switch {
	case len(named) > 0:
	case s.alreadyRefused(text):
		return nil // a second error for the message before
	case !strings.Contains(bare, "PRODUCT"):
		return fmt.Errorf("the vendor refused a subscription: %s", text)
	case len(rest) == 1:
		named = rest
	default:
		s.batch = max(len(rest)/2, 1)
	}
	s.words = text
	s.give(named)
	s.asked = nil
	return s.advance()
}

// limited takes a refusal for too many subscriptions or connections. If it is an answer and
// others are subscribed to, those live on, and what was asked for is asked for again later.
func (s *session) limited(text string) error {
	lives := false
	for _, p := range s.order {
		lives = lives || p.state == confirmed
	}
	if !lives || s.asked == nil || s.asked.unsubscribe {
		return limitError{fmt.Errorf("the vendor says: %s", text)}
	}
	s.counts.limited.Add(1)
	wait := s.opts.LimitedWait + s.opts.draw(s.opts.LimitedWait/2)
	s.paused, s.asked, s.connected = s.opts.now()+int64(wait), nil, false
	reason := fmt.Sprintf("the vendor says: %s; some symbols are not subscribed to, asking again in %v", text, wait.Round(time.Millisecond))
	s.opts.Log.Info("the vendor refuses a subscription", "why", reason)
	s.sink.Status(feed.Status{State: feed.Limited, Reason: reason})
	return s.advance()
}

// resume ends a pause.
func (s *session) resume() error {
	if s.paused == 0 || s.opts.now() < s.paused {
		return nil
	}
	s.paused = 0
	return s.advance()
}

// give marks products as unknown to the vendor.
func (s *session) give(products []*product) {
	for _, p := range products {
		p.state = refused
		if p.carried {
			s.newest(p, 0)
		}
	}
	s.cover(carried(products))
}

func (s *session) alreadyRefused(text string) bool {
	for _, p := range s.products {
		if p.state == refused && names(text, p.name) {
			return true
		}
	}
	return false
}

// names reports whether a text names a product: not as a part of a longer name.
func names(text, product string) bool {
	text = strings.ToUpper(text)
	part := func(i int) bool {
		if i < 0 || i >= len(text) {
			return false
		}
		c := text[i]
		return c == '-' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z'
	}
	for from := 0; ; {
		i := strings.Index(text[from:], product)
		if i < 0 {
			return false
		}
		i += from
		if !part(i-1) && !part(i+len(product)) {
			return true
		}
		from = i + 1
	}
}

var errNoAnswer = errors.New("the vendor did not answer a subscription")

// overdue ends the wait for an answer. What counts is not the time that has passed but how
// far one has read: the answer may stand behind much that a slow sink has yet to take.
func (s *session) overdue() error {
	if s.asked == nil || s.reached < s.asked.until {
		return nil
	}
	if s.asked.unsubscribe || !s.asked.partial {
		return fmt.Errorf("%w of %d products within %v", errNoAnswer, len(s.asked.products), s.opts.AnswerWithin.Round(time.Millisecond))
	}
	s.words = "left out of the answer to a subscription"
	s.give(s.asked.products)
	s.asked = nil
	return s.advance()
}
