package market

import (
	"time"
	"unicode/utf8"
)

// Bar is what is served of a [Record]: OHLCV, VWAP, the count of trades. It does not name
// its symbol; whoever holds it knows.
type Bar struct {
	StartMs     int64 // the period is [StartMs, EndMs)
	EndMs       int64
	Open        int64 // prices at PriceScale
	High        int64
	Low         int64
	Close       int64
	Volume      Int128 // at VolumeScale
	VWAP        int64  // at PriceScale + 2, half-even; see HasVWAP
	N           int64
	Rev         uint32
	Timeframe   Timeframe
	Flags       Flags // Partial and Void only
	PriceScale  uint8
	VolumeScale uint8
	HasVWAP     bool
}

// Seq is the bar's number; see [Seq].
func (b *Bar) Seq() int64 { return Seq(b.StartMs) }

// Bar returns what is served of r. ok is false when r has no open, high, low and close:
// none of its trades may set them, and such a bar is not served. A void record keeps the
// prices of the revision that it removes.
func (r *Record) Bar() (b Bar, ok bool) {
	if !r.Prices.Priced() {
		return Bar{}, false
	}
	b = Bar{
		StartMs: r.StartMs, EndMs: r.EndMs, Timeframe: r.Timeframe, Rev: r.Rev,
		Open: r.Prices.Open, High: r.Prices.High, Low: r.Prices.Low, Close: r.Prices.Close,
		Volume: r.Volume, N: r.N, Flags: r.Flags & (Partial | Void),
		PriceScale: r.PriceScale, VolumeScale: r.VolumeScale,
	}
	if r.Flags&NoNotional == 0 && r.Volume.Sign() > 0 {
		b.VWAP, b.HasVWAP = r.Notional.QuoHalfEven(2, r.Volume)
	}
	return b, true
}

// AppendJSON appends the bar of symbol as the wire protocol has it.
func (b *Bar) AppendJSON(dst []byte, symbol string) []byte {
	dst = append(dst, `{"symbol":`...)
	dst = AppendJSONString(dst, symbol)
	dst = append(dst, `,"timeframe":"`...)
	dst = append(dst, b.Timeframe.String()...)
	dst = append(dst, `","seq":`...)
	dst = AppendDecimal(dst, b.Seq(), 0)
	dst = append(dst, `,"bar_start":`...)
	dst = AppendDecimal(dst, b.StartMs, 0)
	dst = append(dst, `,"bar_end":`...)
	dst = AppendDecimal(dst, b.EndMs, 0)
	dst = append(dst, `,"ohlcv":`...)
	dst = b.AppendOHLCV(dst)
	if b.HasVWAP {
		dst = append(dst, `,"vwap":`...)
		dst = AppendDecimal(dst, b.VWAP, b.PriceScale+2)
	}
	dst = append(dst, `,"n":`...)
	dst = AppendDecimal(dst, b.N, 0)
	if b.Timeframe == D1 {
		dst = append(dst, `,"date":"`...)
		dst = TradeDateOf(b.StartMs).AppendFormat(dst, time.DateOnly)
		dst = append(dst, '"')
	}
	if b.Rev > 0 {
		dst = append(dst, `,"rev":`...)
		dst = AppendDecimal(dst, int64(b.Rev), 0)
	}
	if b.Flags&Partial != 0 {
		dst = append(dst, `,"partial":true`...)
	}
	if b.Flags&Void != 0 {
		dst = append(dst, `,"void":true`...)
	}
	return append(dst, '}')
}

// AppendOHLCV appends {"o":…,"h":…,"l":…,"c":…,"v":…}.
func (b *Bar) AppendOHLCV(dst []byte) []byte {
	dst = AppendDecimal(append(dst, `{"o":`...), b.Open, b.PriceScale)
	dst = AppendDecimal(append(dst, `,"h":`...), b.High, b.PriceScale)
	dst = AppendDecimal(append(dst, `,"l":`...), b.Low, b.PriceScale)
	dst = AppendDecimal(append(dst, `,"c":`...), b.Close, b.PriceScale)
	dst = b.Volume.AppendScaled(append(dst, `,"v":`...), b.VolumeScale)
	return append(dst, '}')
}

// TradeDateOf returns the trade date of a 1d bar that starts at startMs, local midnight of
// that date: noon after it lies on the same date in UTC for every offset from -12 h to +12 h.
func TradeDateOf(startMs int64) time.Time { return time.UnixMilli(startMs).UTC().Add(12 * time.Hour) }

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string; what is not UTF-8 becomes U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size - 1
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// State is the newest of one symbol: its open 1m bar, and the forming bar of every
// timeframe. It is state and not an event: only the newest counts.
type State struct {
	Symbol uint32
	TsMs   int64 // time of the last trade
	Micro  Bar   // the open 1m bar so far
	// Forming has the open bar of each timeframe above 1m so far, shortest first.
	Forming []Bar
}
