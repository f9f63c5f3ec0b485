package logs

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// AppendBinary appends b as it stands in TICKS. What it returns without an error,
// [DecodeBatch] reads back as it was, but for fields that an entry's kind does not have. On
// an error dst is as it was. Whoever has entries one by one uses a [BatchBuilder].
func (b *Batch) AppendBinary(dst []byte) ([]byte, error) {
	if b.Partition >= market.Partitions {
		return dst, fmt.Errorf("encode batch: partition %d: below %d", b.Partition, market.Partitions)
	}
	start := len(dst)
	dst = appendBatchHead(dst, b.Partition, b.Token, b.Number, b.Source, b.Watermark)
	dst = appendSymbols(dst, b.Symbols)
	dst = appendU(dst, uint64(len(b.Entries)))
	var state entryState
	for i := range b.Entries {
		e := &b.Entries[i]
		err := checkEntry(e)
		if err == nil && e.Kind != market.Mark && int(e.Symbol) >= len(b.Symbols) &&
			(e.Kind != market.Hole || e.Symbol != market.AllSymbols) {
			err = fmt.Errorf("symbol %d of %d", e.Symbol, len(b.Symbols))
		}
		if err != nil {
			return dst[:start], fmt.Errorf("encode batch %d of partition %d: entry %d: %w", b.Number, b.Partition, i, err)
		}
		dst = state.append(dst, e, e.Symbol)
	}
	return seal(dst, start), nil
}

func appendBatchHead(dst []byte, partition uint8, token, number uint64, source market.SourcePosition, watermark int64) []byte {
	dst = append(dst, version, partition)
	dst = appendU(dst, token)
	dst = appendU(dst, number)
	dst = appendU(dst, source.Offset)
	dst = appendBytes(dst, source.Opaque)
	return appendS(dst, watermark)
}

// DecodeBatch reads what [Batch.AppendBinary] or a [BatchBuilder] made, into the room that into's
// slices have. The batch shares nothing with data. An error wraps [ErrCorrupt] and leaves
// into with nothing to rely on.
func DecodeBatch(data []byte, into *Batch) error {
	d, err := open(data)
	if err != nil {
		return err
	}
	into.Partition = d.partition()
	into.Token, into.Number = d.u(), d.u()
	into.Source.Offset = d.u()
	into.Source.Opaque = append(into.Source.Opaque[:0], d.bytes()...)
	into.Watermark = d.s()
	into.Symbols = d.symbols(into.Symbols)
	n := d.count("entries", minEntry)
	if cap(into.Entries) < n {
		into.Entries = make([]market.Entry, n)
	}
	into.Entries = into.Entries[:n]
	var state entryState
	for i := range into.Entries {
		state.read(&d, &into.Entries[i], len(into.Symbols))
		if d.err != nil {
			return fmt.Errorf("entry %d: %w", i, d.err)
		}
	}
	return d.end()
}

// PeekBatch reads which batch data is, and nothing more of it: its checksum is not looked at.
func PeekBatch(data []byte) (token, number uint64, err error) {
	d := decoder{b: data}
	if v := d.byte(); d.err == nil && v != version {
		d.fail("version %d: this reader knows %d", v, version)
	}
	d.partition()
	token, number = d.u(), d.u()
	return token, number, d.err
}
