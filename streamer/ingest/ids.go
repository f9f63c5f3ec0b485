package ingest

import (
	"encoding/binary"
	"fmt"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// appendIDs appends, as the opaque part of a position in a vendor's source, the last trade
// id of each symbol (docs/contracts/feed.md): u count; for each, bytes name, u id, s time in ms.
func appendIDs(dst []byte, ids []bars.LastTrade, table *market.SymbolTable) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, x := range ids {
		name := table.Name(x.Symbol)
		dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
		dst = binary.AppendUvarint(dst, x.ID)
		dst = binary.AppendVarint(dst, x.TimeMs)
	}
	return dst
}

// readIDs reads what appendIDs made; empty is none. An error wraps [logs.ErrCorrupt].
func readIDs(src []byte, table *market.SymbolTable) (ids []bars.LastTrade, err error) {
	if len(src) == 0 {
		return nil, nil
	}
	ok := true
	u := func() uint64 {
		v, n := binary.Uvarint(src)
		if n <= 0 {
			ok = false
			return 0
		}
		src = src[n:]
		return v
	}
	for n := u(); n > 0 && ok; n-- {
		length := u()
		if length > uint64(len(src)) {
			ok = false
			break
		}
		name := string(src[:length])
		src = src[length:]
		x := bars.LastTrade{ID: u()}
		ms, k := binary.Varint(src)
		if k <= 0 || name == "" {
			ok = false
			break
		}
		src = src[k:]
		x.Symbol, x.TimeMs = table.Intern(name), ms
		ids = append(ids, x)
	}
	if !ok || len(src) > 0 {
		return nil, fmt.Errorf("%w: the trade ids of a position", logs.ErrCorrupt)
	}
	return ids, nil
}

// appendFollows appends, as the opaque part of the first batch of a token, the last batch
// before it, so that a reader knows that none is missing between them.
func appendFollows(dst []byte, at market.TickPosition) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, at.Token), at.Batch)
}

// readFollows reads what appendFollows made; what it did not make follows nothing.
func readFollows(src []byte) (at market.TickPosition, ok bool) {
	token, n := binary.Uvarint(src)
	if n <= 0 {
		return at, false
	}
	batch, k := binary.Uvarint(src[n:])
	return market.TickPosition{Token: token, Batch: batch}, k > 0 && n+k == len(src)
}
