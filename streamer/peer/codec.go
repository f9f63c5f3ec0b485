package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

const (
	version = 1
	// MaxAsks is the most asks of one request, maxBody its bytes.
	MaxAsks = 4096
	maxBody = 1 << 20
	// softAnswer is how many bytes of a response are given before the rest is put off; a
	// response has one answer more at most.
	softAnswer = 8 << 20
	maxAnswer  = softAnswer + 64<<20
	// longestSymbol bounds a symbol's name in bytes.
	longestSymbol = 128
)

// Ask is a question about one ring, by the symbol's name.
type Ask struct {
	Symbol    string
	Timeframe market.Timeframe
	ring.Query
}

// Request is questions about rings of one pod.
type Request struct {
	Epoch string // of BARS
	// Seq is the position in BARS that has to be applied, Tag its frame's; 0: not known.
	Seq  uint64
	Tag  uint32
	Asks []Ask
}

// State says what came of an ask.
type State uint8

// The states.
const (
	Here  State = iota // it is answered
	Lacks              // the pod does not have the ring
	Later              // it did not fit the response
)

// Answer is what a pod has for an [Ask]. Bars are still encoded.
type Answer struct {
	State State
	ring.Info
	Same  bool // the asker has it: its version is [ring.Query.Unless]
	Count int
	Data  []byte
}

var errCorrupt = errors.New("not understood")

// Bits of an ask, of an answer and of a bar.
const (
	askAfter, askOldest       = 1, 2
	answerEvicted, answerSame = 1, 2

	oddStart  = 1  // does not begin one timeframe after the bar before
	oddEnd    = 2  // does not last one timeframe
	hasVWAP   = 4  //
	marked    = 8  // has a rev or flags
	newScales = 16 // other scales than the bar before
)

func (r *Request) append(dst []byte) []byte {
	dst = append(dst, version)
	dst = appendText(dst, r.Epoch)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = binary.LittleEndian.AppendUint32(dst, r.Tag)
	dst = binary.AppendUvarint(dst, uint64(len(r.Asks)))
	for i := range r.Asks {
		a := &r.Asks[i]
		bits := byte(0)
		if a.HasAfter {
			bits |= askAfter
		}
		if a.Oldest {
			bits |= askOldest
		}
		dst = append(appendText(dst, a.Symbol), byte(a.Timeframe), bits)
		dst = binary.AppendUvarint(dst, uint64(max(0, a.Limit)))
		dst = binary.AppendVarint(dst, a.BeforeMs)
		dst = binary.AppendVarint(dst, a.AfterSeq)
		dst = binary.AppendUvarint(dst, a.Unless)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func decodeRequest(body []byte) (*Request, error) {
	d := reader{b: body}
	if v := d.byte(); v != version {
		return nil, fmt.Errorf("version %d: want %d: %w", v, version, errCorrupt)
	}
	r := &Request{Epoch: d.text(), Seq: d.u(), Tag: d.tag()}
	n := d.u()
	if n > MaxAsks || n > uint64(len(d.b)) {
		return nil, fmt.Errorf("asks %d: want at most %d: %w", n, MaxAsks, errCorrupt)
	}
	r.Asks = make([]Ask, n)
	for i := range r.Asks {
		a := &r.Asks[i]
		a.Symbol, a.Timeframe = d.text(), market.Timeframe(d.byte())
		bits := d.byte()
		a.HasAfter, a.Oldest = bits&askAfter != 0, bits&askOldest != 0
		a.Limit = int(min(d.u(), math.MaxInt32))
		a.BeforeMs, a.AfterSeq, a.Unless = d.s(), d.s(), d.u()
		if !d.bad && (!a.Timeframe.Valid() || bits > askAfter|askOldest) {
			return nil, fmt.Errorf("ask %d: timeframe %d, bits %d: want 1 to %d, 0 to 3: %w", i, a.Timeframe, bits, market.MaxTimeframe, errCorrupt)
		}
	}
	return r, d.end("request")
}

// appendAnswer appends what a ring has.
func appendAnswer(dst []byte, bars []market.Bar, info ring.Info, same bool) []byte {
	bits := byte(0)
	if info.Evicted {
		bits |= answerEvicted
	}
	if same {
		bits |= answerSame
	}
	dst = append(dst, byte(Here), bits)
	dst = binary.AppendVarint(dst, info.OldestSeq)
	dst = binary.AppendUvarint(dst, uint64(info.Len))
	dst = binary.AppendUvarint(dst, info.Version)
	dst = binary.AppendUvarint(dst, uint64(len(bars)))
	return AppendBars(dst, bars)
}

// AppendBars appends bars of one timeframe as they are sent.
func AppendBars(dst []byte, bars []market.Bar) []byte {
	var prev market.Bar
	for i := range bars {
		dst = appendBar(dst, &prev, &bars[i])
		prev = bars[i]
	}
	return dst
}

func appendBar(dst []byte, prev, b *market.Bar) []byte {
	at := len(dst)
	dst = append(dst, 0)
	bits := byte(0)
	if tf := b.Timeframe.Millis(); b.StartMs != prev.StartMs+tf {
		bits |= oddStart
		dst = binary.AppendVarint(dst, b.StartMs-prev.StartMs)
	}
	if b.EndMs != b.StartMs+b.Timeframe.Millis() {
		bits |= oddEnd
		dst = binary.AppendVarint(dst, b.EndMs-b.StartMs)
	}
	if b.PriceScale != prev.PriceScale || b.VolumeScale != prev.VolumeScale {
		bits |= newScales
		dst = append(dst, b.PriceScale, b.VolumeScale)
	}
	for _, v := range [...]int64{b.Open - prev.Close, b.High - b.Open, b.Low - b.Open, b.Close - b.Open} { // may wrap, and wraps back
		dst = binary.AppendVarint(dst, v)
	}
	dst = appendWide(dst, b.Volume)
	dst = binary.AppendVarint(dst, b.N)
	if b.HasVWAP {
		bits |= hasVWAP
		dst = binary.AppendVarint(dst, b.VWAP-b.Close*100)
	}
	if b.Rev != 0 || b.Flags != 0 {
		bits |= marked
		dst = append(binary.AppendUvarint(dst, uint64(b.Rev)), byte(b.Flags))
	}
	dst[at] = bits
	return dst
}

// DecodeBars appends count bars of a timeframe to dst. What is not understood is an error.
func DecodeBars(dst []market.Bar, data []byte, count int, tf market.Timeframe) ([]market.Bar, error) {
	d := reader{b: data}
	var prev market.Bar
	for range count {
		b := d.bar(&prev, tf)
		if d.bad {
			break
		}
		dst = append(dst, b)
		prev = b
	}
	return dst, d.end("bars")
}

func decodeAnswers(body []byte, asks []Ask) (applied uint64, out []Answer, err error) {
	d := reader{b: body}
	if v := d.byte(); v != version {
		return 0, nil, fmt.Errorf("version %d: want %d: %w", v, version, errCorrupt)
	}
	applied = d.u()
	out = make([]Answer, len(asks))
	for i := range out {
		a := &out[i]
		if a.State = State(d.byte()); a.State != Here {
			continue
		}
		bits := d.byte()
		a.Evicted, a.Same = bits&answerEvicted != 0, bits&answerSame != 0
		a.OldestSeq, a.Len, a.Version = d.s(), int(d.u()), d.u()
		a.Count = int(min(d.u(), uint64(len(d.b)))) // a bar takes more than a byte
		from := d.b
		var prev market.Bar
		for range a.Count {
			if prev = d.bar(&prev, asks[i].Timeframe); d.bad {
				break
			}
		}
		a.Data = from[:len(from)-len(d.b)]
	}
	return applied, out, d.end("response")
}
