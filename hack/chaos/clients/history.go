package clients

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/logs"
)

// Bar is a bar as it comes over the wire; numbers stay text.
type Bar struct {
	Symbol    string `json:"symbol"`
	Timeframe string `json:"timeframe"`
	Seq       int64  `json:"seq"`
	Start     int64  `json:"bar_start"`
	End       int64  `json:"bar_end"`
	OHLCV     struct {
		O, H, L, C, V json.Number
	} `json:"ohlcv"`
	VWAP    json.Number `json:"vwap"`
	N       int64       `json:"n"`
	Rev     int         `json:"rev"`
	Partial bool        `json:"partial"`
	Void    bool        `json:"void"`
}

// Key names a bar.
type Key struct {
	Symbol, Timeframe string
	Seq               int64
}

// Key names b.
func (b *Bar) Key() Key { return Key{b.Symbol, b.Timeframe, b.Seq} }

// Values are what must be true of it, as text.
func (b *Bar) Values() string {
	return fmt.Sprintf("o %s h %s l %s c %s v %s n %d vwap %s", b.OHLCV.O, b.OHLCV.H, b.OHLCV.L, b.OHLCV.C, b.OHLCV.V, b.N, b.VWAP)
}

func (k Key) String() string {
	return fmt.Sprintf("%s %s %s", k.Symbol, k.Timeframe, time.UnixMilli(k.Seq*60_000).UTC().Format("15:04"))
}

// Event is an event with an id.
type Event struct {
	At   time.Time
	ID   string
	Type string
	Data string // "" of a lean client
	Sum  uint64 // of Data
	Pod  string
}

var sums = maphash.MakeSeed()

// Sum is a hash of the data of an event, for this process.
func Sum(data string) uint64 { return maphash.String(sums, data) }

// brief is what a lean client keeps of an event.
type brief struct {
	cursor logs.Cursor
	sum    uint64
	at     int64 // Unix ns
}

// Visit is one connection of a client.
type Visit struct {
	From, To time.Time
	LastID   string // that it was asked for with
	Pod      string
	Began    bool   // the pod took it: it was not refused, nor told to come back
	End      string // how it ended
}

// mostEvents and mostVisits bound what a client keeps.
const (
	mostEvents = 200_000
	mostVisits = 2_000
)

// History is what a client saw. Its methods may be called at the same time.
type History struct {
	mu       sync.Mutex
	epoch    string
	cursor   logs.Cursor // of the newest event with an id
	hasID    bool
	lastID   string // the newest id, those of quiet clients counted
	from     string // the id from which on Events has everything; "": not known
	void     string // the id that a reset made void, until another comes
	events   []Event
	lean     bool
	briefs   []brief      // of a lean one, instead of events
	state    map[Key]*Bar // as a client keeps them
	revs     map[Key]int  // highest revision that came with an id
	resets   []Event
	visits   []Visit
	attempts []int64 // Unix ms, when it set out to connect
	heard    time.Time
	micro    time.Time // when the last microbar came
	pause    time.Duration
	wrong    []string
}

func newHistory(lean bool, lastID string) *History {
	return &History{state: make(map[Key]*Bar), revs: make(map[Key]int), lean: lean, lastID: lastID, from: lastID}
}

// take takes one event and returns what is wrong with it, "" if nothing is.
func (h *History) take(e *eventsource.Event, pod string) (wrong string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.heard = now
	defer func() {
		h.lastID = e.ID
		if wrong != "" && len(h.wrong) < 100 {
			h.wrong = append(h.wrong, wrong)
		}
	}()
	if h.from == "" && len(h.events)+len(h.briefs) == 0 && e.ID != "" && e.ID != h.void && !e.HasID {
		h.from = e.ID // the bare id behind a seed
	}
	switch e.Type {
	case "epoch":
		var x struct {
			EpochID string `json:"epochId"`
		}
		if err := json.Unmarshal([]byte(e.Data), &x); err != nil {
			return fmt.Sprintf("epoch %q: %v", e.Data, err)
		}
		if h.epoch != "" && h.epoch != x.EpochID {
			return fmt.Sprintf("the epoch was %s and is %s", h.epoch, x.EpochID)
		}
		h.epoch = x.EpochID
	case "microbar":
		if !h.micro.IsZero() {
			h.pause = max(h.pause, now.Sub(h.micro))
		}
		h.micro = now
	case "reset":
		h.resets = append(h.resets, Event{At: now, ID: e.ID, Type: e.Type, Data: e.Data, Pod: pod})
		h.from, h.void, h.hasID, h.events, h.briefs = "", e.ID, false, nil, nil
		clear(h.state)
		clear(h.revs)
		return ""
	case "bar", "gap":
		return h.record(e, now, pod)
	}
	return ""
}

func (h *History) record(e *eventsource.Event, now time.Time, pod string) string {
	var bar *Bar
	if h.lean && !e.HasID {
		return ""
	}
	if e.Type == "bar" && !h.lean {
		bar = &Bar{}
		if err := json.Unmarshal([]byte(e.Data), bar); err != nil {
			return fmt.Sprintf("bar %q: %v", e.Data, err)
		}
	}
	if bar != nil {
		if old := h.state[bar.Key()]; old == nil || bar.Rev >= old.Rev {
			h.state[bar.Key()] = bar
		}
	}
	if !e.HasID {
		return ""
	}
	c, err := logs.ParseCursor(e.ID)
	if err != nil {
		return err.Error()
	}
	if len(h.events)+len(h.briefs) == mostEvents {
		return "more events than are kept"
	}
	if h.lean {
		if c.Epoch == h.epoch {
			c.Epoch = h.epoch // not a piece of the whole id
		}
		h.briefs = append(h.briefs, brief{c, Sum(e.Data), now.UnixNano()})
	} else {
		h.events = append(h.events, Event{now, e.ID, e.Type, e.Data, Sum(e.Data), pod})
	}
	was, had := h.cursor, h.hasID
	h.cursor, h.hasID = c, true
	if had && (c.Seq < was.Seq || c.Seq == was.Seq && c.Index <= was.Index) {
		return fmt.Sprintf("%s came after %s: want cursors that rise", c, was)
	}
	if bar != nil {
		if rev, ok := h.revs[bar.Key()]; ok && bar.Rev <= rev {
			return fmt.Sprintf("%s rev %d came with id %s after rev %d: want each revision once", bar.Key(), bar.Rev, e.ID, rev)
		}
		h.revs[bar.Key()] = bar.Rev
	}
	return ""
}

func (h *History) attempt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.attempts) < mostVisits {
		h.attempts = append(h.attempts, time.Now().UnixMilli())
	}
}

// Attempts is when it set out to connect, each time, in Unix ms; the first mostVisits.
func (h *History) Attempts() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]int64(nil), h.attempts...)
}

func (h *History) visit(v Visit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.visits) == mostVisits {
		h.visits = append(h.visits[:0], h.visits[mostVisits/2:]...)
	}
	h.visits = append(h.visits, v)
}

// Seen is a copy of a history.
type Seen struct {
	Epoch, LastID, From string
	Events              []Event
	State               map[Key]*Bar
	Resets              []Event
	Visits              []Visit
	Wrong               []string
	Heard               time.Time
}

// Seen returns what was seen so far.
func (h *History) Seen() Seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Seen{Epoch: h.epoch, LastID: h.lastID, From: h.from, Events: append([]Event(nil), h.events...), State: make(map[Key]*Bar, len(h.state)),
		Resets: append([]Event(nil), h.resets...), Visits: append([]Visit(nil), h.visits...), Wrong: append([]string(nil), h.wrong...), Heard: h.heard}
	for k, b := range h.state {
		s.State[k] = b
	}
	for i := range h.briefs {
		b := &h.briefs[i]
		s.Events = append(s.Events, Event{At: time.Unix(0, b.at), ID: b.cursor.String(), Sum: b.sum})
	}
	return s
}

// Newest is the newest id that it saw; Options.LastID before the first.
func (h *History) Newest() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastID
}

// Connections are its connections so far that have ended.
func (h *History) Connections() []Visit {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Visit(nil), h.visits...)
}

// Pause is the longest time between two microbars since it was asked last.
func (h *History) Pause() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pause
	if !h.micro.IsZero() {
		p = max(p, time.Since(h.micro)) // it may not be over yet
	}
	h.pause = 0
	return p
}

// ResetCount is how often it was reset.
func (h *History) ResetCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.resets)
}
