package logs

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// AppendBinary appends f as it stands in BARS. What it returns without an error,
// [DecodeFrame] reads back as it was; on an error dst is as it was.
func (f *Frame) AppendBinary(dst []byte) ([]byte, error) {
	document, err := f.document()
	if err != nil {
		return dst, fmt.Errorf("encode frame %d of partition %d: %w", f.Number, f.Partition, err)
	}
	start := len(dst)
	dst = append(dst, version, byte(f.Kind), f.Partition)
	dst = appendU(dst, f.Number)
	dst = appendU(dst, f.Token)
	dst = binary.LittleEndian.AppendUint32(dst, f.Tag)
	dst = appendS(dst, f.ConfigGeneration.CreatedMs)
	dst = appendS(dst, f.ConfigGeneration.Generation)
	dst = appendS(dst, f.Watermark)
	dst = appendPosition(dst, &f.Applied)
	dst = appendPosition(dst, &f.Open)
	dst = appendSymbols(dst, f.Symbols)
	dst = appendU(dst, uint64(len(f.Records)))
	before := &market.Record{}
	for i := range f.Records {
		r := &f.Records[i]
		if err := checkRecord(r, len(f.Symbols)); err != nil {
			return dst[:start], fmt.Errorf("encode frame %d of partition %d: record %d: %w", f.Number, f.Partition, i, err)
		}
		dst = appendRecord(dst, r, before)
		before = r
	}
	dst = appendU(dst, uint64(len(f.Gaps)))
	var from int64
	for i := range f.Gaps {
		g := &f.Gaps[i]
		if int64(g.Symbol) >= int64(len(f.Symbols)) || g.State > market.GapRemoved || g.Reason > maxReason {
			return dst[:start], fmt.Errorf("encode frame %d of partition %d: gap %d: symbol %d of %d, state %d, reason %d",
				f.Number, f.Partition, i, g.Symbol, len(f.Symbols), g.State, g.Reason)
		}
		dst = appendU(dst, uint64(g.Symbol))
		dst = appendS(dst, g.FromMs-from)
		dst = appendS(dst, g.ToMs-g.FromMs)
		if g.AfterID|g.BeforeID == 0 {
			dst = append(dst, byte(g.State)<<6|byte(g.Reason))
		} else {
			dst = append(dst, byte(g.State)<<6|gapIDs|byte(g.Reason))
			dst = appendU(dst, g.AfterID)
			dst = appendS(dst, int64(g.BeforeID-g.AfterID))
		}
		from = g.FromMs
	}
	if f.Kind != FrameBars {
		dst = appendBytes(dst, document)
	}
	return seal(dst, start), nil
}

// document checks what depends on the kind and returns the JSON that the kind asks for.
func (f *Frame) document() ([]byte, error) {
	if f.Partition >= market.Partitions {
		return nil, fmt.Errorf("partition %d: below %d", f.Partition, market.Partitions)
	}
	if (f.Shape != nil) != (f.Kind == FrameConfig) || (f.Owner != nil) != (f.Kind == FrameOwner) {
		return nil, fmt.Errorf("kind %d: a configuration has a shape, an owner's frame an owner, and nothing else has", f.Kind)
	}
	switch f.Kind {
	case FrameBars:
		return nil, nil
	case FrameConfig:
		return json.Marshal(f.Shape)
	case FrameOwner:
		if f.Partition != 0 {
			return nil, fmt.Errorf("an owner's frame in partition %d: it has none", f.Partition)
		}
		if !ValidEpoch(f.Owner.Epoch) {
			return nil, fmt.Errorf("epoch %q: want 1 to %d of a-z and 0-9", f.Owner.Epoch, MaxEpoch)
		}
		return json.Marshal(f.Owner)
	}
	return nil, fmt.Errorf("kind %d: 1 to %d", f.Kind, FrameOwner)
}

// DecodeFrame reads what [Frame.AppendBinary] made. The frame shares nothing with data.
// Every error wraps [ErrCorrupt].
func DecodeFrame(data []byte) (*Frame, error) {
	d, err := open(data)
	if err != nil {
		return nil, err
	}
	f := &Frame{Kind: FrameKind(d.byte()), Partition: d.partition()}
	f.Number, f.Token = d.u(), d.u()
	if tag := d.take(4); tag != nil {
		f.Tag = binary.LittleEndian.Uint32(tag)
	}
	f.ConfigGeneration = ConfigGeneration{CreatedMs: d.s(), Generation: d.s()}
	f.Watermark = d.s()
	f.Applied, f.Open = d.position(), d.position()
	f.Symbols = d.symbols(nil)
	f.records(&d)
	f.gaps(&d)
	if err := f.readDocument(&d); err != nil {
		return nil, err
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Frame) records(d *decoder) {
	n := d.count("records", minRecord)
	if n == 0 {
		return
	}
	f.Records = make([]market.Record, n)
	before := &market.Record{}
	for i := range f.Records {
		r := &f.Records[i]
		d.record(r, before, len(f.Symbols))
		if d.err != nil {
			d.err = fmt.Errorf("record %d: %w", i, d.err)
			return
		}
		before = r
	}
}

// minGap is the least that a gap takes in bytes.
const minGap = 4

// Of a gap's byte: its two highest bits are the state, gapIDs says that ids follow, and
// maxReason is the highest reason that there is room for.
const (
	gapIDs    = 1 << 5
	maxReason = gapIDs - 1
)

func (f *Frame) gaps(d *decoder) {
	n := d.count("gaps", minGap)
	if n == 0 {
		return
	}
	f.Gaps = make([]market.Gap, n)
	var from int64
	for i := range f.Gaps {
		g := &f.Gaps[i]
		g.Symbol = d.symbol(len(f.Symbols))
		g.FromMs = from + d.s()
		g.ToMs = g.FromMs + d.s()
		c := d.byte()
		g.State, g.Reason = market.GapState(c>>6), market.GapReason(c&maxReason)
		if c&gapIDs != 0 {
			g.AfterID = d.u()
			g.BeforeID = g.AfterID + uint64(d.s())
		}
		if d.err != nil {
			d.err = fmt.Errorf("gap %d: %w", i, d.err)
			return
		}
		from = g.FromMs
	}
}

func (f *Frame) readDocument(d *decoder) error {
	var into any
	switch f.Kind {
	case FrameBars:
		return nil
	case FrameConfig:
		f.Shape = &Shape{}
		into = f.Shape
	case FrameOwner:
		f.Owner = &Owner{}
		into = f.Owner
	default:
		d.fail("kind %d: 1 to %d", f.Kind, FrameOwner)
		return d.err
	}
	document := d.bytes()
	if d.err != nil {
		return d.err
	}
	if err := json.Unmarshal(document, into); err != nil {
		return corrupt("document: %v", err)
	}
	if f.Kind == FrameOwner && (f.Partition != 0 || !ValidEpoch(f.Owner.Epoch)) {
		return corrupt("owner: partition %d, epoch %q: want none, and 1 to %d of a-z and 0-9", f.Partition, f.Owner.Epoch, MaxEpoch)
	}
	return nil
}

func appendPosition(dst []byte, p *market.Position) []byte {
	dst = appendU(dst, p.Tick.Token)
	dst = appendU(dst, p.Tick.Batch)
	dst = appendU(dst, uint64(p.Tick.Index))
	dst = appendU(dst, p.Source.Offset)
	return appendBytes(dst, p.Source.Opaque)
}

func (d *decoder) position() (p market.Position) {
	p.Tick.Token, p.Tick.Batch = d.u(), d.u()
	index := d.u()
	if index > 1<<32-1 {
		d.fail("index %d of a position: 32 bits", index)
	}
	p.Tick.Index = uint32(index)
	p.Source.Offset = d.u()
	p.Source.Opaque = append([]byte(nil), d.bytes()...)
	return p
}
