package coinbasetest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// Product is what is traded.
type Product struct {
	Name string
	// PerSecond is the mean rate of trades; 0: only what Make and Burst make.
	PerSecond float64
	// FirstID is the id of the first trade: 1.
	FirstID uint64
	// Price is the first trade's; its decimals are those of all: "100.00".
	Price string
}

// Trade is a trade as the oracle knows it.
type Trade struct {
	ID     uint64
	TimeNs int64 // whole µs
	Price  market.Decimal
	Size   market.Decimal
	Taker  market.Side
}

// sizeScale is how many decimals a size has at most.
const sizeScale = 8

// record is a remembered trade.
type record struct {
	time        int64 // Unix µs
	price, size int64
	makerBuys   bool
}

// book is a product and its history.
type book struct {
	Product
	scale    uint8
	period   int64 // ns between scheduled trades; 0: none
	start    int64 // Unix ns, of the schedule
	slots    int64 // of the schedule that are made
	rng      *rand.Rand
	price    int64
	sequence uint64
	lastTime int64 // µs
	first    uint64
	records  []record // from id first on
	bursts   []burst
	forgot   [][2]uint64 // ids that REST has not, both inclusive

	skip, duplicate, disorder, late int // how many of the next trades
	lateBy                          time.Duration
	held                            [][]byte // of disorder
}

// burst is trades spread evenly over a time.
type burst struct {
	from, over int64 // ns
	n, made    int
}

func newBook(p Product, seed uint64, start time.Time) (*book, error) {
	if p.FirstID == 0 {
		p.FirstID = 1
	}
	if p.Price == "" {
		p.Price = "100.00"
	}
	d, err := market.ParseDecimal(p.Price)
	if err != nil || d.Coef <= 0 || p.Name == "" || p.PerSecond < 0 || p.PerSecond > 1e6 {
		return nil, fmt.Errorf("product %q at %q, %v a second: want a name, a positive price and 0 to 1000000 a second", p.Name, p.Price, p.PerSecond)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.Name))
	b := &book{Product: p, scale: max(d.Scale, 2), start: start.UnixNano(), rng: rand.New(rand.NewPCG(seed, h.Sum64())), first: p.FirstID}
	b.price, _ = d.Rescale(b.scale)
	if p.PerSecond > 0 {
		b.period = int64(1e9 / p.PerSecond)
	}
	return b, nil
}

// next is the id of the next trade.
func (b *book) next() uint64 { return b.first + uint64(len(b.records)) }

// newest is the id of the newest trade; 0: there is none.
func (b *book) newest() uint64 {
	if len(b.records) == 0 {
		return 0
	}
	return b.next() - 1
}

// due calls made for every trade that is due at now, in order of time, each made. skew is
// what the exchange's clock is ahead.
func (b *book) due(now, skew int64, keep int, made func(id uint64, r record)) {
	for {
		at := int64(-1)
		var of *burst
		if b.period > 0 {
			at = b.start + b.slots*b.period + int64(jitter(b.Name, b.slots)%uint64(b.period))
		}
		for i := range b.bursts {
			u := &b.bursts[i]
			if t := u.from + u.over*int64(u.made)/int64(u.n); at < 0 || t < at {
				at, of = t, u
			}
		}
		if at < 0 || at > now {
			return
		}
		if of == nil {
			b.slots++
		} else if of.made++; of.made == of.n {
			b.bursts = slices.DeleteFunc(b.bursts, func(u burst) bool { return u.made == u.n })
		}
		id, r := b.make((at+skew)/1000, keep)
		made(id, r)
	}
}

// jitter is where in its slot a trade is, the same whenever it is asked.
func jitter(name string, slot int64) uint64 {
	x := uint64(slot)*0x9e3779b97f4a7c15 + uint64(len(name))
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return (x ^ x>>32) >> 1
}

// make makes a trade at a time in µs, or as soon after the one before as times can tell apart.
func (b *book) make(at int64, keep int) (uint64, record) {
	b.price = max(b.price+b.rng.Int64N(11)-5, 1)
	size := 1 + b.rng.Int64N(100_000_000)
	if b.rng.IntN(4) == 0 {
		size *= 1 + b.rng.Int64N(1000)
	}
	b.lastTime = max(at, b.lastTime+1)
	r := record{time: b.lastTime, price: b.price, size: size, makerBuys: b.rng.IntN(2) == 0}
	b.sequence += 1 + uint64(b.rng.IntN(20))
	id := b.next()
	if len(b.records) >= keep+keep/4 {
		n := len(b.records) - keep
		b.records = append(b.records[:0], b.records[n:]...)
		b.first += uint64(n)
	}
	b.records = append(b.records, r)
	return id, r
}

// at is the remembered trade of an id.
func (b *book) at(id uint64) (record, bool) {
	if id < b.first || id >= b.next() {
		return record{}, false
	}
	return b.records[id-b.first], true
}

func (b *book) trade(id uint64, r record) Trade {
	t := Trade{ID: id, TimeNs: r.time * 1000, Price: market.Decimal{Coef: r.price, Scale: b.scale}, Size: market.Decimal{Coef: r.size, Scale: sizeScale}, Taker: market.SideBuy}
	if r.makerBuys {
		t.Taker = market.SideSell
	}
	return canonical(t)
}

// canonical has no zeros at the end of decimals.
func canonical(t Trade) Trade {
	t.Price, _ = market.ParseDecimal(t.Price.String())
	t.Size, _ = market.ParseDecimal(t.Size.String())
	return t
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

func appendTime(dst []byte, us int64) []byte {
	return time.UnixMicro(us).UTC().AppendFormat(dst, timeLayout)
}

func (r record) maker() string {
	if r.makerBuys {
		return "buy"
	}
	return "sell"
}

// appendMatch appends the frame of a trade; typ is match or last_match.
func (b *book) appendMatch(dst []byte, typ string, id uint64, r record) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, typ...)
	dst = append(dst, `","trade_id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	dst = append(dst, `,"maker_order_id":"27fff20b-af29-4f45-8744-56dd1ef57dc0","taker_order_id":"1da6ce16-c8da-4732-9f71-6049f4c6aaf8","side":"`...)
	dst = append(dst, r.maker()...)
	dst = append(dst, `","size":"`...)
	dst = market.AppendDecimal(dst, r.size, sizeScale)
	dst = append(dst, `","price":"`...)
	dst = market.AppendDecimal(dst, r.price, b.scale)
	dst = append(dst, `","product_id":"`...)
	dst = append(dst, b.Name...)
	dst = append(dst, `","sequence":`...)
	dst = strconv.AppendUint(dst, b.sequence, 10)
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, r.time)
	return append(dst, `"}`...)
}

func (b *book) appendHeartbeat(dst []byte, us int64) []byte {
	dst = append(dst, `{"type":"heartbeat","last_trade_id":`...)
	dst = strconv.AppendUint(dst, b.newest(), 10)
	dst = append(dst, `,"product_id":"`...)
	dst = append(dst, b.Name...)
	dst = append(dst, `","sequence":`...)
	dst = strconv.AppendUint(dst, b.sequence, 10)
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, us)
	return append(dst, `"}`...)
}
