package logs

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/marketstream/marketstream/streamer/market"
)

func randomRecord(rnd *rand.Rand, symbols int) market.Record {
	tf := market.Timeframe(1 + rnd.IntN(int(market.MaxTimeframe)))
	start := 1_709_649_000_000 + rnd.Int64N(1e9)*60_000
	r := market.Record{Symbol: uint32(rnd.IntN(symbols)), Timeframe: tf, StartMs: start, EndMs: start + tf.Millis(), Rev: uint32(rnd.IntN(3))}
	if rnd.IntN(3) == 0 {
		r.Flags |= market.Extended
	}
	for range rnd.IntN(6) {
		e := market.Entry{Time: (start + rnd.Int64N(60_000)) * 1e6, Order: rnd.Uint64N(1e12),
			Price: market.Decimal{Coef: rnd.Int64N(1e9) - 1000, Scale: uint8(rnd.IntN(9))}, Size: market.Decimal{Coef: 1 + rnd.Int64N(1e12), Scale: uint8(rnd.IntN(9))}}
		_ = r.AddTrade(&e, market.Use(rnd.IntN(256))) // what does not fit is left out
	}
	return r
}

func randomFrame(rnd *rand.Rand) *Frame {
	f := &Frame{Kind: FrameBars, Partition: uint8(rnd.IntN(16)), Number: 1 + rnd.Uint64N(1e6), Token: rnd.Uint64N(9), Tag: rnd.Uint32(),
		ConfigGeneration: ConfigGeneration{rnd.Int64N(5), rnd.Int64N(5)}, Watermark: rnd.Int64N(2e12), Symbols: []string{"SPY", "BTC-USD", "é"},
		Applied: market.Position{Tick: market.TickPosition{Token: 1, Batch: rnd.Uint64N(1e6), Index: rnd.Uint32N(256)}, Source: market.SourcePosition{Offset: rnd.Uint64()}}}
	f.Open = f.Applied
	for range rnd.IntN(20) {
		f.Records = append(f.Records, randomRecord(rnd, 3))
	}
	for range rnd.IntN(3) {
		f.Gaps = append(f.Gaps, market.Gap{Symbol: uint32(rnd.IntN(3)), FromMs: 5, ToMs: 5 + rnd.Int64N(1e6), Reason: market.GapReason(rnd.IntN(9)), State: market.GapState(rnd.IntN(4))})
		if rnd.IntN(2) == 0 {
			f.Gaps[len(f.Gaps)-1].AfterID, f.Gaps[len(f.Gaps)-1].BeforeID = rnd.Uint64(), rnd.Uint64()
		}
	}
	return f
}

// TestFrameRoundTrip: what is written is what is read.
func TestFrameRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	frames := []*Frame{
		{Kind: FrameOwner, Tag: 7, Owner: &Owner{Namespace: "default", Name: "demo", Feed: FeedSynthetic, Epoch: "abc", EpochStartMs: 5, LoopMs: 300_000, ShiftMs: -5, BeginOffset: 7, Generation: ConfigGeneration{1, 2}}},
		{Kind: FrameConfig, Number: 1, Shape: &Shape{Symbols: []ShapeSymbol{{Name: "SPY", SinceOffset: 4, SinceMs: 5}}, Timeframes: []string{"1m"}, Source: "s", ShiftMs: -5}},
	}
	for range 500 {
		frames = append(frames, randomFrame(rnd))
	}
	for i, f := range frames {
		data, err := f.AppendBinary([]byte("before"))
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		got, err := DecodeFrame(data[len("before"):])
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if d := cmp.Diff(f, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("frame %d:\n%s", i, d)
		}
	}
}

func randomBatch(rnd *rand.Rand) (*BatchBuilder, []market.Entry, *market.SymbolTable) {
	table := &market.SymbolTable{}
	for _, s := range []string{"AAA", "BBB", "CCC"} {
		table.Intern(s)
	}
	var entries []market.Entry
	at, offset := int64(1_709_649_000_000e6), rnd.Uint64N(1e9)
	for range rnd.IntN(200) {
		at += rnd.Int64N(1e9) - 2e8
		offset += 1 + rnd.Uint64N(3)
		switch rnd.IntN(8) {
		case 0:
			entries = append(entries, market.Entry{Kind: market.Mark, Time: at / 1e8 * 1e8, Offset: offset})
		case 1:
			h := market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: at, Until: at + 5e9, Reason: market.GapDisconnect, Offset: offset, State: market.GapState(rnd.IntN(5))}
			if rnd.IntN(2) == 0 {
				h.Symbol, h.Order, h.ID = uint32(rnd.IntN(3)), rnd.Uint64(), rnd.Uint64()
			}
			entries = append(entries, h)
		default:
			e := market.Entry{Kind: market.Trade, Symbol: uint32(rnd.IntN(3)), Time: at, Side: market.Side(rnd.IntN(3)), Order: offset, ID: offset, Offset: offset,
				Price: market.Decimal{Coef: rnd.Int64N(1e9), Scale: uint8(rnd.IntN(9))}, Size: market.Decimal{Coef: 1 + rnd.Int64N(1e9), Scale: uint8(rnd.IntN(9))}}
			if rnd.IntN(4) == 0 {
				e.ID, e.Order, e.Conditions = rnd.Uint64(), rnd.Uint64(), rnd.Uint64()
			}
			entries = append(entries, e)
		}
	}
	var b BatchBuilder
	b.Reset(3, 9, 17, table)
	for i := range entries {
		if err := b.Add(&entries[i]); err != nil {
			panic(err)
		}
	}
	return &b, entries, table
}

// TestBatchRoundTrip: what is added is what is read, in a batch that is used again.
// TestMaxRecord: no record is longer than is said, and one is as long.
func TestMaxRecord(t *testing.T) {
	const far = math.MinInt64
	prices := market.Prices{Has: allPrices, Open: far, Close: 1 << 62, High: 1 << 62, Low: 1 << 62,
		First: market.Stamp{Time: far, Order: 1 << 63}, Last: market.Stamp{Time: 1, Order: 1}}
	wide := market.Int128{Hi: math.MinInt64, Lo: 1}
	r := market.Record{Symbol: math.MaxUint32, Timeframe: market.M1, Flags: market.Partial, PriceScale: 1, Rev: math.MaxUint32, StartMs: far, EndMs: far + 7,
		Prices: prices, Daily: prices, Volume: wide, Notional: wide, N: far}
	r.Prices.Has |= market.WeakEnds
	r.Daily.Open, r.Daily.Close = far/2, 1<<62
	if n := len(appendRecord(nil, &r, &market.Record{})); n > MaxRecord || n < MaxRecord-12 {
		t.Errorf("%d bytes, at most %d are said", n, MaxRecord)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		r, before := randomRecord(rnd, 1<<20), randomRecord(rnd, 1<<20)
		if n := len(appendRecord(nil, &r, &before)); n > MaxRecord {
			t.Fatalf("%d bytes: %+v after %+v", n, r, before)
		}
	}
}

func TestBatchRoundTrip(t *testing.T) {
	var got Batch
	for seed := range uint64(300) {
		b, want, table := randomBatch(rand.New(rand.NewPCG(seed, 2)))
		if err := DecodeBatch(b.AppendBinary(nil), &got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		RemapBatch(&got, table)
		if got.Partition != 3 || got.Token != 9 || got.Number != 17 {
			t.Errorf("%+v", got)
		}
		if d := cmp.Diff(want, got.Entries, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("seed %d:\n%s", seed, d)
		}
	}
}

// TestStateRoundTrip: what is written is what is read.
func TestStateRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	var got StateMessage
	for range 200 {
		want := StateMessage{Partition: 4, Token: 2, Watermark: 77, Symbols: []string{"SPY"}}
		for range rnd.IntN(4) {
			s := market.State{TsMs: 1_709_649_000_000 + rnd.Int64N(1e9)}
			for k := range 1 + rnd.IntN(4) {
				r := randomRecord(rnd, 1)
				b, ok := r.Bar()
				if !ok {
					continue
				}
				if b.Timeframe = market.Timeframe(k + 1); k == 0 {
					s.Micro = b
				} else {
					s.Forming = append(s.Forming, b)
				}
			}
			if s.Micro.Timeframe == 0 {
				continue
			}
			want.States = append(want.States, s)
		}
		data, err := want.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := DecodeStateMessage(data, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	}
}

// TestBatchAllocations: encoding a batch in room that is there allocates nothing.
func TestBatchAllocations(t *testing.T) {
	_, entries, table := randomBatch(rand.New(rand.NewPCG(5, 2)))
	var b BatchBuilder
	var dst []byte
	encode := func() {
		b.Reset(3, 9, 17, table)
		for i := range entries {
			if err := b.Add(&entries[i]); err != nil {
				t.Fatal(err)
			}
		}
		dst = b.AppendBinary(dst[:0])
	}
	encode()
	if n := testing.AllocsPerRun(50, encode); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func checkError(t *testing.T, err error) {
	t.Helper()
	if err != nil && (!errors.Is(err, ErrCorrupt) || err.Error() == "") {
		t.Errorf("an error that is not ErrCorrupt: %v", err)
	}
}

// FuzzDecodeFrame: any bytes are a frame or an error; a frame is written as it was read.
func FuzzDecodeFrame(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 9))
	for range 10 {
		data, err := randomFrame(rnd).AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := DecodeFrame(data)
		checkError(t, err)
		if err != nil {
			return
		}
		again, err := frame.AppendBinary(nil)
		if err != nil {
			return // a value that no writer makes
		}
		if second, err := DecodeFrame(again); err != nil {
			t.Errorf("a frame that was read cannot be read again: %v", err)
		} else if d := cmp.Diff(frame, second, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}

// FuzzDecodeBatch: any bytes are a batch or an error.
func FuzzDecodeBatch(f *testing.F) {
	for seed := range uint64(8) {
		b, _, _ := randomBatch(rand.New(rand.NewPCG(seed, 2)))
		f.Add(b.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		checkError(t, DecodeBatch(data, &b))
		if len(b.Entries) > len(data) {
			t.Errorf("%d entries of %d bytes", len(b.Entries), len(data))
		}
	})
}

// FuzzDecodeState: any bytes are a message or an error.
func FuzzDecodeState(f *testing.F) {
	rnd := rand.New(rand.NewPCG(4, 4))
	r := randomRecord(rnd, 1)
	for {
		if b, ok := r.Bar(); ok {
			m := StateMessage{Symbols: []string{"SPY"}, States: []market.State{{TsMs: 5, Micro: b}}}
			if data, err := m.AppendBinary(nil); err == nil {
				f.Add(data)
			}
			break
		}
		r = randomRecord(rnd, 1)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m StateMessage
		checkError(t, DecodeStateMessage(data, &m))
	})
}

// FuzzParseCursor: what is a cursor is written as it was read.
func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"abc.1.2.00000003", "e.0.-1.ffffffff", "", "a.b.c.d", "e.18446744073709551615.0.00000000", "1795535100000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		if again, err := ParseCursor(c.String()); err != nil || again != c {
			t.Errorf("%q: %+v, again %+v %v", s, c, again, err)
		}
	})
}
