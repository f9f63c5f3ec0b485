package logs

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// BatchBuilder makes the bytes of a [Batch] entry by entry, as they come from a feed: each
// is encoded when it is added, and none is kept. It allocates nothing once its buffers have
// grown. Its zero value is ready for Reset. One goroutine uses it.
type BatchBuilder struct {
	// Source and Watermark are as in [Batch]. Add moves Source.Offset and, at a Mark,
	// Watermark; Reset leaves them.
	Source    market.SourcePosition
	Watermark int64

	partition     uint8
	token, number uint64
	local         Localizer
	entries       []byte
	n             int
	state         entryState
}

// Reset begins a batch of a partition whose entries carry symbol numbers of t.
func (b *BatchBuilder) Reset(partition uint8, token, number uint64, t *market.SymbolTable) {
	b.partition, b.token, b.number = partition, token, number
	b.local.reset()
	b.local.Table = t
	b.entries, b.n = b.entries[:0], 0
	b.state = entryState{}
}

// Add adds an entry. Its error says which field is wrong; the entry is then not in the
// batch, and what was is untouched. e is the caller's.
func (b *BatchBuilder) Add(e *market.Entry) error {
	if err := checkEntry(e); err != nil {
		return fmt.Errorf("entry of a batch: %w", err)
	}
	symbol := e.Symbol
	switch {
	case e.Kind == market.Mark:
		b.Watermark = e.Time / nsPerMs
	case e.Kind == market.Hole && symbol == market.AllSymbols:
	default:
		var ok bool
		if symbol, ok = b.local.number(symbol); !ok {
			return fmt.Errorf("entry of a batch: symbol %d has no name", e.Symbol)
		}
	}
	b.Source.Offset = max(b.Source.Offset, e.Offset)
	b.entries = b.state.append(b.entries, e, symbol)
	b.n++
	return nil
}

// Len is how many entries were added since the last Reset.
func (b *BatchBuilder) Len() int { return b.n }

// Size is about how many bytes the batch takes.
func (b *BatchBuilder) Size() int { return len(b.entries) }

// AppendBinary appends the batch as it stands in TICKS. It changes nothing, so more may be added.
func (b *BatchBuilder) AppendBinary(dst []byte) []byte {
	start := len(dst)
	dst = appendBatchHead(dst, b.partition, b.token, b.number, b.Source, b.Watermark)
	dst = appendSymbols(dst, b.local.names)
	dst = appendU(dst, uint64(b.n))
	dst = append(dst, b.entries...)
	return seal(dst, start)
}
