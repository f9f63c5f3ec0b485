package polygontest

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
	Seed    uint64
	Key     string   // "key"
	Symbols []string // AAPL and MSFT
	// Crypto: the symbols are pairs, as BTC-USD.
	Crypto bool
	// Batch is how many trades a frame has at most: 100.
	Batch int
	// AuthWithin is how long a connection may be without a key: 10 s.
	AuthWithin time.Duration
	// Participant: trades say when they happened, and not only when they were reported.
	Participant bool
	// PageTrades is how many trades a page of REST has at most: 50,000.
	PageTrades int
}

// Stats is what a vendor counts.
type Stats struct {
	vendortest.Counts
	Auths, Refused, Subscribes, Unsubscribes, Evicted int
	Sent                                              uint64 // trades
}

// LimitHow is what happens to a connection that is one too many. Sources disagree on which one dies.
type LimitHow struct {
	Oldest bool // an older one dies; else the newcomer does
	Abort  bool // it is cut after the status, and not closed with a word
	Mute   bool // it is cut without a status
	AtAuth bool // it dies right after auth_success; else after its first subscription
}

// Vendor is one scripted vendor.
type Vendor struct {
	*vendortest.Server
	*vendortest.Market
	opts Options

	mu        sync.Mutex
	key       string
	limit     int
	how       LimitHow
	forbidden string // a topic's prefix that the plan does not hold; "": none
	deaf      bool   // no answers to subscriptions
	stats     Stats
	order     []*vendortest.Client // that were let in, the oldest first
	seconds   map[string]*second
}

// session is what a connection has done.
type session struct {
	mu     sync.Mutex
	authed bool
	topics map[string]bool
	timer  *time.Timer
}

// Start makes a vendor and listens.
func Start(opts Options) (*Vendor, error) {
	if opts.Key == "" {
		opts.Key = "key"
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
		opts.PageTrades = 50_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	sizes := uint8(6)
	if opts.Crypto {
		sizes = 8
	}
	v := &Vendor{opts: opts, key: opts.Key, seconds: map[string]*second{},
		Market: vendortest.NewMarket(opts.Seed, opts.Now, 2, sizes, opts.Symbols...)}
	var err error
	v.Server, err = vendortest.Serve(opts.Options, script{v})
	return v, err
}

// script is the vendor as its sockets see it.
type script struct{ v *Vendor }

// Opened implements [vendortest.Script].
func (s script) Opened(c *vendortest.Client, _ *http.Request) {
	x := &session{topics: map[string]bool{}}
	c.State = x
	c.Send(statusFrame("connected", "Connected Successfully"))
	x.timer = time.AfterFunc(s.v.opts.AuthWithin, func() {
		x.mu.Lock()
		authed := x.authed
		x.mu.Unlock()
		if !authed {
			c.Send(statusFrame("auth_timeout", "No authentication request received."))
			c.Close("")
		}
	})
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

// Slow implements [vendortest.Script]: Massive says nothing.
func (s script) Slow(*vendortest.Client) {}

// Said implements [vendortest.Script].
func (s script) Said(c *vendortest.Client, text []byte) {
	v, x := s.v, c.State.(*session)
	var m struct{ Action, Params string }
	if err := json.Unmarshal(text, &m); err != nil {
		c.Send(statusFrame("error", "invalid message"))
		return
	}
	switch m.Action {
	case "auth":
		v.auth(c, x, m.Params)
	case "subscribe":
		v.subscribe(c, x, m.Params)
	case "unsubscribe":
		v.unsubscribe(c, x, m.Params)
	default:
		c.Send(statusFrame("error", "unknown action"))
	}
}

func (v *Vendor) auth(c *vendortest.Client, x *session, key string) {
	v.mu.Lock()
	v.stats.Auths++
	right := key == v.key
	if !right {
		v.stats.Refused++
	}
	v.mu.Unlock()
	if !right {
		c.Send(statusFrame("auth_failed", "authentication failed"))
		c.Close("")
		return
	}
	x.mu.Lock()
	x.authed = true
	x.mu.Unlock()
	c.Send(statusFrame("auth_success", "authenticated"))
	v.admit(c, true)
}

// admit lets a connection in, or throws one out.
func (v *Vendor) admit(c *vendortest.Client, atAuth bool) {
	v.mu.Lock()
	if slices.Contains(v.order, c) || v.limit > 0 && v.how.AtAuth != atAuth {
		v.mu.Unlock()
		return
	}
	v.order = append(v.order, c)
	var out *vendortest.Client
	if v.limit > 0 && len(v.order) > v.limit {
		at := len(v.order) - 1
		if v.how.Oldest {
			at = 0
		}
		out = v.order[at]
		v.order = slices.Delete(v.order, at, at+1)
		v.stats.Evicted++
	}
	how := v.how
	v.mu.Unlock()
	if out == nil {
		return
	}
	const words = "Maximum number of websocket connections exceeded. "
	switch {
	case how.Mute:
		out.Abort()
	case how.Abort:
		out.Send(statusFrame("max_connections", words))
		out.Hang()
	default:
		out.Send(statusFrame("max_connections", words))
		out.Close(words)
	}
}

func (v *Vendor) subscribe(c *vendortest.Client, x *session, params string) {
	v.mu.Lock()
	v.stats.Subscribes++
	forbidden, deaf := v.forbidden, v.deaf
	v.mu.Unlock()
	if deaf {
		return
	}
	x.mu.Lock()
	authed := x.authed
	var said []string
	for topic := range strings.SplitSeq(params, ",") {
		switch topic = strings.TrimSpace(topic); {
		case !authed, forbidden != "" && strings.HasPrefix(topic, forbidden):
			said = append(said, one("error", "not authorized"))
		case !slices.Contains([]string{"T", "XT", "A", "XAS", "AM", "XA", "LULD"}, before(topic)):
			said = append(said, one("error", "unknown topic "+topic))
		case !x.topics[topic]:
			x.topics[topic] = true
			said = append(said, one("success", "subscribed to: "+topic))
		}
	}
	if len(said) > 0 {
		c.Send([]byte("[" + strings.Join(said, ",") + "]"))
	}
	x.mu.Unlock()
	if authed {
		v.admit(c, false)
	}
}

func (v *Vendor) unsubscribe(c *vendortest.Client, x *session, params string) {
	v.mu.Lock()
	v.stats.Unsubscribes++
	v.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	var said []string
	for topic := range strings.SplitSeq(params, ",") {
		delete(x.topics, strings.TrimSpace(topic))
		said = append(said, one("success", "unsubscribed to: "+topic))
	}
	c.Send([]byte("[" + strings.Join(said, ",") + "]"))
}

func before(topic string) string {
	channel, _, _ := strings.Cut(topic, ".")
	return channel
}

func one(status, message string) string {
	return fmt.Sprintf(`{"ev":"status","status":%q,"message":%q}`, status, message)
}

func statusFrame(status, message string) []byte { return []byte("[" + one(status, message) + "]") }

// subscribed are the connections that subscribe to a topic.
func (v *Vendor) subscribed(topic string) (some []*vendortest.Client) {
	for _, c := range v.Clients() {
		if x, ok := c.State.(*session); ok {
			x.mu.Lock()
			if x.topics[topic] || x.topics[before(topic)+".*"] {
				some = append(some, c)
			}
			x.mu.Unlock()
		}
	}
	return some
}

// Topics are what the connections of now subscribe to, sorted.
func (v *Vendor) Topics() []string {
	all := map[string]bool{}
	for _, c := range v.Clients() {
		if x, ok := c.State.(*session); ok {
			x.mu.Lock()
			for t := range x.topics {
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
func (v *Vendor) SetKey(key string) { v.with(func() { v.key = key }) }

// LimitConnections allows n connections; 0: any number. Those that are open stay.
func (v *Vendor) LimitConnections(n int, how LimitHow) { v.with(func() { v.limit, v.how = n, how }) }

// Forbid takes a channel out of the plan: "T", "A", "LULD"; "" puts it back.
func (v *Vendor) Forbid(channel string) {
	if channel != "" {
		channel += "."
	}
	v.with(func() { v.forbidden = channel })
}

// Answers turns answers to subscriptions on or off.
func (v *Vendor) Answers(on bool) { v.with(func() { v.deaf = !on }) }

// Status sends every connection a status.
func (v *Vendor) Status(status, message string) { v.Raw(statusFrame(status, message)) }

// Huge sends every connection a frame of n bytes, of events that nobody knows.
func (v *Vendor) Huge(n int) {
	const head, tail = `[{"ev":"FMV","sym":"`, `"}]`
	v.Raw([]byte(head + strings.Repeat("x", max(n-len(head)-len(tail), 0)) + tail))
}

func (v *Vendor) with(do func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	do()
}
