package market

import "testing"

// noAllocs fails when f allocates. The hot path runs these for every trade or close.
func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(200, f); n != 0 {
		t.Errorf("%s allocates %v times", what, n)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	table := conditionsOf(t, "USEquities")
	entries := []Entry{
		{Price: MustDecimal("580.1"), Size: MustDecimal("100")},
		{Price: MustDecimal("580.125"), Size: MustDecimal("0.5"), Time: 1},
		{Price: MustDecimal("580"), Size: MustDecimal("3"), Time: 2, Conditions: 1<<12 | 1<<37},
		{Price: MustDecimal("581.2"), Size: MustDecimal("3"), Time: 2, Conditions: 1 << 10},
	}
	var uses [4]Use
	noAllocs(t, "Use", func() {
		for i := range entries {
			uses[i] = table.Use(entries[i].Conditions, i%2 == 0)
		}
	})
	var r, up Record
	noAllocs(t, "AddTrade", func() {
		r = Record{Timeframe: M1, Flags: Extended}
		for i := range entries {
			if err := r.AddTrade(&entries[i], uses[i]); err != nil {
				t.Fatal(err)
			}
		}
	})
	noAllocs(t, "RemoveTrade", func() {
		c := r
		if _, err := c.RemoveTrade(&entries[1], uses[1]); err != nil {
			t.Fatal(err)
		}
	})
	noAllocs(t, "Merge and Update", func() {
		up = Record{Timeframe: H1}
		if up.Merge(&r) != nil || up.Update(&r, &r) != nil {
			t.Fatal("refused")
		}
	})
	sessions := []Session{{}, us(t, HoursExtended, AnchorClock), us(t, HoursRegular, AnchorSession), us(t, HoursContinuous, AnchorClock)}
	ms := ny(t, "2025-07-03 12:34")
	noAllocs(t, "Period, Includes and OutsideRegular", func() {
		for _, s := range sessions {
			for tf := M1; tf <= MaxTimeframe; tf++ {
				s.Period(tf, ms)
			}
			s.Includes(ms)
			s.OutsideRegular(ms)
		}
	})
	b, ok := up.Bar()
	if !ok {
		t.Fatal("not served")
	}
	b.Timeframe, b.Rev, b.Flags = D1, 2, Partial
	large := b
	large.Volume, large.VolumeScale = Int128{Hi: 77, Lo: 5}, 18
	buf := make([]byte, 0, 1024)
	noAllocs(t, "AppendJSON", func() {
		buf = b.AppendJSON(buf[:0], "SPY")
		buf = large.AppendJSON(buf, "SPY")
	})
	noAllocs(t, "Bar", func() { up.Bar() })
	text := []byte("580.1250")
	noAllocs(t, "ParseDecimal", func() {
		if _, err := ParseDecimal(text); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseDecimal("12.5e-7"); err != nil {
			t.Fatal(err)
		}
	})
	noAllocs(t, "Parse of conditions", func() {
		if _, err := table.Parse("@ 14;37|CTA:B"); err != nil {
			t.Fatal(err)
		}
	})
	noAllocs(t, "PartitionOf", func() { _ = PartitionOf("BTC-USD") })
}

func BenchmarkAddTrade(b *testing.B) {
	prices := []string{"580.11", "580.1", "580.12", "580.09", "580"}
	entries := make([]Entry, 1024)
	for i := range entries {
		entries[i] = Entry{Kind: Trade, Time: int64(i), Order: uint64(i), Price: MustDecimal(prices[i%len(prices)]), Size: Decimal{Coef: int64(1 + i%300)}}
	}
	for name, flags := range map[string]Flags{"regular": 0, "extended": Extended} {
		b.Run(name, func(b *testing.B) {
			r := Record{Timeframe: M1, Flags: flags}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := r.AddTrade(&entries[i%1024], UseAll); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUse(b *testing.B) {
	table := conditionsOf(b, "USEquities")
	sets := []uint64{0, 1, 1 << 14, 1<<14 | 1<<41, 1 << 37, 1<<12 | 1<<37, 1 << 10, 1}
	b.ReportAllocs()
	var u Use
	for i := 0; b.Loop(); i++ {
		u |= table.Use(sets[i%8], i%2 == 0)
	}
	if u != 0x7f {
		b.Fatalf("%b", u)
	}
}

func BenchmarkMerge(b *testing.B) {
	part := Record{Timeframe: M1}
	for i := range 5 {
		e := Entry{Time: int64(i), Price: Decimal{Coef: int64(58_001 + i*3), Scale: 2}, Size: Decimal{Coef: 100}}
		if err := part.AddTrade(&e, UseAll); err != nil {
			b.Fatal(err)
		}
	}
	up := Record{Timeframe: M5}
	b.ReportAllocs()
	for b.Loop() {
		if err := up.Merge(&part); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPeriod(b *testing.B) {
	start := ny(b, "2025-07-02 04:00")
	for _, anchor := range []Anchor{AnchorClock, AnchorSession} {
		s := us(b, HoursExtended, anchor)
		for _, tf := range []Timeframe{M1, M5, H4, D1} {
			b.Run(anchor.String()+"/"+tf.String(), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					s.Period(tf, start+int64(i%900)*msMinute)
				}
			})
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	x := bar(b, nil, "580.10x100", "580.9x20", "580.05x7", "580.60x120220")
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = x.AppendJSON(buf[:0], "SPY")
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkParseDecimal(b *testing.B) {
	text := []byte("27345.12000000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDecimal(text); err != nil {
			b.Fatal(err)
		}
	}
}
