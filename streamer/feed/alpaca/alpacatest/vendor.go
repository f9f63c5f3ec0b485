package alpacatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/vendortest"
)

// Options say what is sold, and how. A zero field is the default that its comment names.
type Options struct {
	vendortest.Options
	Seed          uint64
	KeyID, Secret string   // "id", "secret"
	Symbols       []string // AAPL and MSFT
	// Crypto: the symbols are pairs, as BTC/USD.
	Crypto bool
	// Batch is how many trades a frame has at most: 100.
	Batch int
	// AuthWithin is how long a connection may be without a key: 10 s.
	AuthWithin time.Duration
	// PageTrades is how many trades or bars a page of REST has at most: 10,000.
	PageTrades int
}

// Stats is what a vendor counts.
type Stats struct {
	vendortest.Counts
	Auths, Refused, Subscribes, Unsubscribes, Evicted int
	Sent                                              uint64 // trades
}

// Vendor is one scripted vendor.
type Vendor struct {
	*vendortest.Server
	*vendortest.Market
	opts Options

	mu        sync.Mutex
	keyID     string
	secret    string
	limit     int
	oldest    bool
	symbols   int // that a connection may subscribe to; 0: any number
	forbidden bool
	deaf      bool
	stats     Stats
	order     []*vendortest.Client
}

// session is what a connection has done.
type session struct {
	mu       sync.Mutex
	authed   bool
	trades   map[string]bool
	bars     map[string]bool
	statuses map[string]bool
	timer    *time.Timer
}

// Start makes a vendor and listens.
func Start(opts Options) (*Vendor, error) {
	if opts.KeyID == "" {
		opts.KeyID = "id"
	}
	if opts.Secret == "" {
		opts.Secret = "secret"
	}
	if opts.Symbols == nil {
		opts.Symbols = []string{"AAPL", "MSFT"}
	}
	if opts.Batch == 0 {
		opts.Batch = 100
	}
	if opts.AuthWithin == 0 {
		opts.AuthWithin = 10 * time.Second
	}
	if opts.PageTrades == 0 {
		opts.PageTrades = 10_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	sizes := uint8(0)
	if opts.Crypto {
		sizes = 9
	}
	v := &Vendor{opts: opts, keyID: opts.KeyID, secret: opts.Secret,
		Market: vendortest.NewMarket(opts.Seed, opts.Now, 2, sizes, opts.Symbols...)}
	var err error
	v.Server, err = vendortest.Serve(opts.Options, script{v})
	return v, err
}

// script is the vendor as its sockets see it.
type script struct{ v *Vendor }

func refusal(code int, msg string) []byte {
	return fmt.Appendf(nil, `[{"T":"error","code":%d,"msg":%q}]`, code, msg)
}

func success(msg string) []byte { return fmt.Appendf(nil, `[{"T":"success","msg":%q}]`, msg) }

// Opened implements [vendortest.Script].
func (s script) Opened(c *vendortest.Client, r *http.Request) {
	x := &session{trades: map[string]bool{}, bars: map[string]bool{}, statuses: map[string]bool{}}
	c.State = x
	c.Send(success("connected"))
	x.timer = time.AfterFunc(s.v.opts.AuthWithin, func() {
		x.mu.Lock()
		authed := x.authed
		x.mu.Unlock()
		if !authed {
			c.Send(refusal(404, "auth timeout"))
			c.Close("")
		}
	})
	if id := r.Header.Get("APCA-API-KEY-ID"); id != "" {
		s.v.auth(c, x, id, r.Header.Get("APCA-API-SECRET-KEY"))
	}
}

// Closed implements [vendortest.Script].
func (s script) Closed(c *vendortest.Client) {
	if x, ok := c.State.(*session); ok {
		x.timer.Stop()
	}
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	s.v.order = slices.DeleteFunc(s.v.order, func(o *vendortest.Client) bool { return o == c })
}

// Slow implements [vendortest.Script].
func (s script) Slow(c *vendortest.Client) {
	c.Send(refusal(407, "slow client"))
	c.Hang()
}

// Said implements [vendortest.Script].
func (s script) Said(c *vendortest.Client, text []byte) {
	v, x := s.v, c.State.(*session)
	var m struct {
		Action, Key, Secret string
		Trades, Bars        []string
		Statuses            []string
	}
	if err := json.Unmarshal(text, &m); err != nil {
		c.Send(refusal(400, "invalid syntax"))
		return
	}
	switch m.Action {
	case "auth":
		v.auth(c, x, m.Key, m.Secret)
	case "subscribe", "unsubscribe":
		v.subscribe(c, x, m.Action, m.Trades, m.Bars, m.Statuses)
	default:
		c.Send(refusal(400, "invalid syntax"))
	}
}

func (v *Vendor) auth(c *vendortest.Client, x *session, id, secret string) {
	x.mu.Lock()
	twice := x.authed
	x.mu.Unlock()
	if twice {
		c.Send(refusal(403, "already authenticated"))
		return
	}
	v.mu.Lock()
	v.stats.Auths++
	if id != v.keyID || secret != v.secret {
		v.stats.Refused++
		v.mu.Unlock()
		c.Send(refusal(402, "auth failed"))
		c.Close("")
		return
	}
	var old *vendortest.Client
	if v.limit > 0 && len(v.order) >= v.limit {
		v.stats.Evicted++
		if !v.oldest {
			v.mu.Unlock()
			c.Send(refusal(406, "connection limit exceeded"))
			c.Close("")
			return
		}
		old = v.order[0]
		v.order = v.order[1:]
	}
	v.order = append(v.order, c)
	v.mu.Unlock()
	if old != nil {
		old.Abort()
	}
	x.mu.Lock()
	x.authed = true
	x.mu.Unlock()
	c.Send(success("authenticated"))
}

func (v *Vendor) subscribe(c *vendortest.Client, x *session, action string, trades, bars, statuses []string) {
	v.mu.Lock()
	limit, forbidden, deaf := v.symbols, v.forbidden, v.deaf
	if action == "subscribe" {
		v.stats.Subscribes++
	} else {
		v.stats.Unsubscribes++
	}
	v.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case deaf:
		return
	case !x.authed:
		c.Send(refusal(401, "not authenticated"))
		return
	case forbidden:
		c.Send(refusal(409, "insufficient subscription"))
		return
	case len(trades)+len(bars)+len(statuses) == 0, len(statuses) > 0 && v.opts.Crypto: // there are no halts in crypto
		c.Send(refusal(410, "invalid subscribe action for this feed"))
		return
	}
	if action == "subscribe" {
		all := len(x.trades)
		for _, s := range trades {
			if !x.trades[s] {
				all++
			}
		}
		if limit > 0 && all > limit {
			c.Send(refusal(405, "symbol limit exceeded"))
			return
		}
	}
	for kind, symbols := range map[*map[string]bool][]string{&x.trades: trades, &x.bars: bars, &x.statuses: statuses} {
		for _, s := range symbols {
			if action == "subscribe" {
				(*kind)[s] = true
			} else {
				delete(*kind, s)
			}
		}
	}
	c.Send(x.all())
}

// all is the frame that says all that is subscribed to; x.mu is held.
func (x *session) all() []byte {
	names := func(set map[string]bool) string {
		all := make([]string, 0, len(set))
		for s := range set {
			all = append(all, s)
		}
		slices.Sort(all)
		text, _ := json.Marshal(all)
		return string(text)
	}
	t := names(x.trades)
	return fmt.Appendf(nil, `[{"T":"subscription","trades":%s,"quotes":[],"bars":%s,"updatedBars":[],"dailyBars":[],"statuses":%s,"lulds":[],"corrections":%s,"cancelErrors":%s}]`, t, names(x.bars), names(x.statuses), t, t)
}

// subscribed are the connections that subscribe to a symbol's trades.
func (v *Vendor) subscribed(symbol string) (some []*vendortest.Client) {
	for _, c := range v.Clients() {
		if x, ok := c.State.(*session); ok {
			x.mu.Lock()
			if x.trades[symbol] || x.trades["*"] {
				some = append(some, c)
			}
			x.mu.Unlock()
		}
	}
	return some
}

// Topics are the symbols whose trades the connections of now subscribe to, sorted.
func (v *Vendor) Topics() []string {
	all := map[string]bool{}
	for _, c := range v.Clients() {
		if x, ok := c.State.(*session); ok {
			x.mu.Lock()
			for t := range x.trades {
				all[t] = true
			}
			x.mu.Unlock()
		}
	}
	var topics []string
	for t := range all {
		topics = append(topics, t)
	}
	slices.Sort(topics)
	return topics
}

// Stats are the counts of now.
func (v *Vendor) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stats
	s.Counts = v.Counts()
	return s
}

// SetKey changes the key: connections that are open stay.
func (v *Vendor) SetKey(keyID, secret string) {
	v.with(func() { v.keyID, v.secret = keyID, secret })
}

// LimitConnections allows n connections; 0: any number. The newcomer is refused, or, with oldest, the oldest is cut.
func (v *Vendor) LimitConnections(n int, oldest bool) {
	v.with(func() { v.limit, v.oldest = n, oldest })
}

// LimitSymbols allows a connection n symbols; 0: any number.
func (v *Vendor) LimitSymbols(n int) { v.with(func() { v.symbols = n }) }

// Forbid takes trades out of the plan, or puts them back.
func (v *Vendor) Forbid(on bool) { v.with(func() { v.forbidden = on }) }

// Answers turns answers to subscriptions on or off.
func (v *Vendor) Answers(on bool) { v.with(func() { v.deaf = !on }) }

// Error sends every connection an error.
func (v *Vendor) Error(code int, msg string) { v.Raw(refusal(code, msg)) }

// Huge sends every connection a frame of n bytes, of messages that nobody knows.
func (v *Vendor) Huge(n int) {
	const head, tail = `[{"T":"n","S":"`, `"}]`
	v.Raw([]byte(head + strings.Repeat("x", max(n-len(head)-len(tail), 0)) + tail))
}

func (v *Vendor) with(do func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	do()
}
