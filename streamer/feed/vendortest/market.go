package vendortest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// Trade is a trade as the oracle knows it.
type Trade struct {
	Symbol     string
	ID         uint64 // rises by one in a symbol; unique with the exchange alone at most vendors
	Seq        uint64 // rises in a symbol, and skips
	Exchange   int    // 1 to 20
	Facility   int    // the reporting facility of what was traded off an exchange; 0: it was on one
	TimeNs     int64  // when it happened
	SentNs     int64  // when it was reported
	Price      market.Decimal
	Size       market.Decimal
	Conditions []int // unified ids
	// Gone: it was cancelled, or another took its place.
	Gone bool
	// Instead is the ID of the trade whose place it took; 0: none.
	Instead uint64
}

// Market makes trades and remembers them. Prices and sizes are a function of the seed, the symbol and the place.
type Market struct {
	now    func() time.Time
	seed   uint64
	mu     sync.Mutex
	skew   time.Duration
	tapes  map[string]*tape
	names  []string
	scales [2]uint8 // of prices, of sizes
}

type tape struct {
	rng    *rand.Rand
	price  int64
	next   uint64
	seq    uint64
	lastNs int64
	trades []Trade // in the order in which they were reported
}

// NewMarket makes a market of some symbols. Prices have priceScale decimals, sizes at most sizeScale.
func NewMarket(seed uint64, now func() time.Time, priceScale, sizeScale uint8, symbols ...string) *Market {
	m := &Market{now: now, seed: seed, tapes: map[string]*tape{}, names: slices.Sorted(slices.Values(symbols)), scales: [2]uint8{priceScale, sizeScale}}
	for _, s := range symbols {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s))
		t := &tape{rng: rand.New(rand.NewPCG(seed, h.Sum64())), next: 1, seq: 1000}
		t.price = 10_000 + t.rng.Int64N(50_000)
		m.tapes[s] = t
	}
	return m
}

// Symbols are the symbols that there are.
func (m *Market) Symbols() []string { return m.names }

// Skew sets the exchange's clock ahead by d, or back. (Times of a symbol's trades keep rising.)
func (m *Market) Skew(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.skew = d
}

// Now is the exchange's clock.
func (m *Market) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Add(m.skew)
}

// How says how trades are made.
type How struct {
	// Late is how long ago they happened, off an exchange, though they are reported now.
	Late time.Duration
	// At is when they are reported; 0: now.
	At int64
	// Apart is the time from one to the next: 1 µs.
	Apart time.Duration
	// Conditions of all of them.
	Conditions []int
	// Whole sizes: shares are not broken.
	Whole bool
}

// Make makes n trades.
func (m *Market) Make(symbol string, n int, how How) ([]Trade, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tapes[symbol]
	if t == nil {
		return nil, m.unknown(symbol)
	}
	from := len(t.trades)
	at := how.At
	if at == 0 {
		at = m.now().Add(m.skew).UnixNano()
	}
	apart := max(int64(how.Apart), 1000)
	for range n {
		if at <= t.lastNs {
			at = t.lastNs + 1
		}
		t.lastNs = at
		t.price = max(t.price+t.rng.Int64N(21)-10, 100)
		x := Trade{Symbol: symbol, ID: t.next, Seq: t.seq, Exchange: 1 + t.rng.IntN(20), TimeNs: at, SentNs: at, Conditions: how.Conditions,
			Price: canonical(t.price, m.scales[0]), Size: canonical(1+t.rng.Int64N(500), 0)}
		if broken := t.rng.IntN(4) == 0; broken && !how.Whole && m.scales[1] > 0 {
			x.Size = canonical(1+t.rng.Int64N(pow10(m.scales[1])*3), m.scales[1])
		}
		if how.Late > 0 {
			x.TimeNs, x.Exchange, x.Facility = at-int64(how.Late), 4, 201+t.rng.IntN(3)
		}
		t.trades = append(t.trades, x)
		t.next++
		t.seq += 1 + t.rng.Uint64N(4)
		at += apart
	}
	return slices.Clone(t.trades[from:]), nil
}

// Cancel takes a trade back.
func (m *Market) Cancel(symbol string, id uint64) (gone Trade, err error) {
	err = m.find(symbol, id, func(_ *tape, x *Trade) {
		x.Gone = true
		gone = *x
	})
	return gone, err
}

// Correct has a trade at another price take the place of one, at its time.
func (m *Market) Correct(symbol string, id uint64) (was, now Trade, err error) {
	err = m.find(symbol, id, func(t *tape, x *Trade) {
		x.Gone = true
		was = *x
		now = was
		now.ID, now.Seq, now.Gone, now.Instead = t.next, t.seq, false, was.ID
		now.Price = canonical(t.price+37, m.scales[0])
		t.next++
		t.seq++
		t.trades = append(t.trades, now)
	})
	return was, now, err
}

func (m *Market) find(symbol string, id uint64, do func(*tape, *Trade)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tapes[symbol]
	if t == nil {
		return m.unknown(symbol)
	}
	at := slices.IndexFunc(t.trades, func(x Trade) bool { return x.ID == id })
	if at < 0 {
		return fmt.Errorf("%s has no trade %d", symbol, id)
	}
	do(t, &t.trades[at])
	return nil
}

func (m *Market) unknown(symbol string) error {
	return fmt.Errorf("symbol %q: want one of %s", symbol, strings.Join(m.names, ", "))
}

// Has reports whether a symbol is traded.
func (m *Market) Has(symbol string) bool { return m.tapes[symbol] != nil }

// Trades are all trades of a symbol that were reported in [from, to), Unix ns, in the order of the reports; those that
// are gone too.
func (m *Market) Trades(symbol string, from, to int64) []Trade {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tapes[symbol]
	if t == nil {
		return nil
	}
	var out []Trade
	for _, x := range t.trades {
		if x.SentNs >= from && x.SentNs < to {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b Trade) int { return int(a.SentNs - b.SentNs) })
	return out
}

func canonical(coef int64, scale uint8) market.Decimal {
	for scale > 0 && coef%10 == 0 {
		coef /= 10
		scale--
	}
	return market.Decimal{Coef: coef, Scale: scale}
}

func pow10(scale uint8) int64 {
	p := int64(1)
	for range scale {
		p *= 10
	}
	return p
}
