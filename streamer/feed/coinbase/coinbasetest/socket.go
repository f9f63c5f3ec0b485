package coinbasetest

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/marketstream/marketstream/streamer/feed/vendortest/wire"
)

// channel is a bit for each channel that is spoken.
type channel uint8

const (
	matchesChannel channel = 1 << iota
	heartbeatChannel
)

var channels = map[string]channel{"matches": matchesChannel, "heartbeat": heartbeatChannel}

// client is one connection. Frames that are queued are written by its own goroutine, past the
// library, in pieces as large as there are.
type client struct {
	v    *Vendor
	ws   *websocket.Conn
	conn net.Conn // what the library writes to
	wire *wire.Wire

	subs map[string]channel // guarded by the vendor's mutex

	mu    sync.Mutex
	out   []byte
	ready chan struct{}
	gone  bool
}

// serveSocket takes a connection.
func (v *Vendor) serveSocket(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	refuse, limit := v.refuse, v.limit
	full := limit.n > 0 && len(v.clients) >= limit.n
	if refuse.until.After(v.opts.Now()) || full && limit.how == RefuseHandshake {
		v.stats.Refused++
		v.mu.Unlock()
		switch {
		case full:
			http.Error(w, limitText, http.StatusTooManyRequests)
		case refuse.status > 0:
			http.Error(w, "not now", refuse.status)
		default:
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = c.Close()
			}
		}
		return
	}
	v.mu.Unlock()

	h := &hijacker{ResponseWriter: w}
	c := &client{v: v, subs: map[string]channel{}, ready: make(chan struct{}, 1)}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{InsecureSkipVerify: true,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			v.with(func() {
				if !v.pongless {
					c.queue(0x8A, payload) // behind what is queued; the library would give up after 5 s
				}
			})
			return false
		}})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	c.ws, c.conn, c.wire = ws, h.conn, wire.Under(h.conn)
	if !v.admit(c) {
		c.refuse(limitText, limit.how != RefuseClosing)
		return
	}
	defer v.forget(c)
	timer := time.AfterFunc(v.opts.SubscribeWithin, func() {
		if v.unsubscribed(c) {
			_ = ws.CloseNow()
		}
	})
	defer timer.Stop()
	ws.SetReadLimit(1 << 20)
	for {
		_, text, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		c.take(text)
	}
}

// hijacker keeps the connection that the library takes over.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = c
	return c, rw, err
}

// admit lets a connection in, if the limit allows it or evicts an older one.
func (v *Vendor) admit(c *client) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	if v.limit.n > 0 && len(v.clients) >= v.limit.n {
		switch v.limit.how {
		case Evict, EvictSilently:
			oldest := v.clients[0]
			v.clients = slices.Delete(v.clients, 0, 1)
			v.stats.Evicted++
			if v.limit.how == Evict {
				v.done.Go(func() { oldest.refuse(limitText, true) })
			} else {
				v.done.Go(oldest.abort)
			}
		default:
			v.stats.Refused++
			return false
		}
	}
	v.stats.Accepted++
	v.clients = append(v.clients, c)
	v.done.Go(c.write)
	return true
}

func (v *Vendor) forget(c *client) {
	v.mu.Lock()
	v.clients = slices.DeleteFunc(v.clients, func(o *client) bool { return o == c })
	v.mu.Unlock()
	c.abort()
}

func (v *Vendor) unsubscribed(c *client) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(c.subs) == 0 && !v.deaf
}

// subscribed reports whether a channel of a product is; the vendor's mutex is held.
func (c *client) subscribed(product string, ch channel) bool { return c.subs[product]&ch != 0 }

// refuse says why, by an error frame first if told so, and closes.
func (c *client) refuse(text string, frame bool) {
	if frame {
		c.send(errorFrame(text, ""))
	}
	c.flush()
	_ = c.ws.Close(websocket.StatusPolicyViolation, text)
	c.abort()
}

// abort ends the connection without a word.
func (c *client) abort() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	_ = c.wire.Close()
	c.wake()
}

// send queues a text frame.
func (c *client) send(text []byte) { c.queue(0x81, text) }

// queue queues a frame, by its first byte. A connection that lags too far is cut.
func (c *client) queue(first byte, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	if len(c.out)+len(frame) > c.v.opts.SlowBytes {
		c.gone, c.out = true, nil
		c.v.killed.Add(1)
		_ = c.wire.Close()
		c.wake()
		return
	}
	c.out = appendFrame(c.out, first, frame)
	c.wake()
}

func (c *client) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// appendFrame appends a frame as a server sends it.
func appendFrame(dst []byte, first byte, text []byte) []byte {
	dst = append(dst, first)
	switch n := len(text); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, text...)
}

// write writes what is queued until the connection ends.
func (c *client) write() {
	var spare []byte
	for range c.ready {
		c.mu.Lock()
		out, gone := c.out, c.gone
		c.out = spare[:0]
		c.mu.Unlock()
		if len(out) > 0 {
			if _, err := c.conn.Write(out); err != nil {
				c.abort()
				return
			}
		}
		if gone {
			return
		}
		spare = out
	}
}

// flush writes what is queued, before a last word.
func (c *client) flush() {
	c.mu.Lock()
	out := c.out
	c.out, c.gone = nil, true
	c.mu.Unlock()
	if len(out) > 0 {
		_, _ = c.conn.Write(out)
	}
}

// take takes a message of the client.
func (c *client) take(text []byte) {
	var m struct {
		Type     string            `json:"type"`
		Products []string          `json:"product_ids"`
		Channels []json.RawMessage `json:"channels"`
	}
	v := c.v
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.deaf {
		v.stats.Ignored++
		return
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Type != "subscribe" && m.Type != "unsubscribe" {
		c.send(errorFrame("Malformed JSON", ""))
		return
	}
	failed := "Failed to " + m.Type
	var chosen channel
	for _, raw := range m.Channels {
		var name string
		_ = json.Unmarshal(raw, &name)
		if channels[name] == 0 {
			c.send(errorFrame(failed, fmt.Sprintf("%s is not a valid channel", name)))
			return
		}
		chosen |= channels[name]
	}
	if chosen == 0 {
		c.send(errorFrame(failed, "No channels provided"))
		return
	}
	if m.Type == "subscribe" {
		v.stats.Subscribes++
		c.subscribe(failed, m.Products, chosen)
		return
	}
	v.stats.Unsubscribes++
	for _, name := range m.Products {
		if c.subs[name] &^= chosen; c.subs[name] == 0 {
			delete(c.subs, name)
		}
	}
	c.send(c.answer())
}

// subscribe adds products, answers, and sends each one's last match.
func (c *client) subscribe(failed string, names []string, chosen channel) {
	v := c.v
	var known []string
	for _, name := range names {
		if v.books[name] != nil {
			known = append(known, name)
			continue
		}
		switch v.opts.Unknown {
		case TakeSilently:
		case TakeRest:
			c.send(errorFrame(failed, name+" is not a valid product"))
		case IgnoreVaguely:
			c.send(errorFrame(failed, " is not a valid product"))
			return
		default:
			c.send(errorFrame(failed, name+" is not a valid product"))
			return
		}
	}
	if v.subs > 0 && len(c.subs)+len(known) > v.subs {
		c.send(errorFrame(failed, "subscription limit exceeded"))
		return
	}
	for _, name := range known {
		c.subs[name] |= chosen
	}
	if len(known) > 0 || len(names) == 0 {
		c.send(c.answer())
	}
	for _, name := range known {
		b := v.books[name]
		if r, ok := b.at(b.newest()); ok && chosen&matchesChannel != 0 {
			c.send(b.appendMatch(nil, "last_match", b.newest(), r))
		}
	}
}

// answer is the frame that says all that is subscribed to.
func (c *client) answer() []byte {
	type one struct {
		Name     string   `json:"name"`
		Products []string `json:"product_ids"`
	}
	var all []one
	for _, name := range []string{"matches", "heartbeat"} {
		o := one{Name: name}
		for p, ch := range c.subs {
			if ch&channels[name] != 0 {
				o.Products = append(o.Products, p)
			}
		}
		if len(o.Products) > 0 {
			all = append(all, o)
		}
	}
	text, _ := json.Marshal(struct {
		Type     string `json:"type"`
		Channels []one  `json:"channels"`
	}{"subscriptions", all})
	return text
}

func errorFrame(message, reason string) []byte {
	text := `{"type":"error","message":` + strconv.Quote(message)
	if reason != "" {
		text += `,"reason":` + strconv.Quote(reason)
	}
	return []byte(text + "}")
}
