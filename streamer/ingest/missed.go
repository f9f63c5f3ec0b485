package ingest

import (
	"github.com/marketstream/marketstream/streamer/market"
)

// A live source whose ids do not rise by one says holes, and nobody can tell by ids which trades are missing in one. So the
// minutes that a hole touches are made again, each as a whole, of what the vendor's REST side has of them.

// mostMissed is how many minutes of a partition's symbols are made again for one hole. What is older is a gap like any other,
// which nothing mends: a frame must hold them, and the vendor must be asked for each.
const mostMissed = 4_000

// unseen says, before the first mark of a writer that goes on from the log, that what lies between was not observed; of a new log
// the beginning of its periods. A writer that takes over another's queue missed nothing.
func (w *Writer) unseen(e *market.Entry) {
	if w.began {
		return
	}
	w.began = true
	if !w.live || w.ids != nil || w.Batches > 0 || w.unknownFrom != 0 {
		return
	}
	h := market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: w.mark * 1e6, Until: e.Time, Reason: market.GapDisconnect}
	if w.mark <= 0 {
		cfg := w.fold.Config()
		h.Time, h.Reason = periodStart(&cfg, e.Time/1e6)*1e6, market.GapStart
	}
	if h.Time < h.Until {
		w.missed(&h)
	}
}

// missed appends what a hole amounts to to w.work: a gap for each minute and symbol that the session includes.
func (w *Writer) missed(h *market.Entry) {
	if h.Reason.Remakes() || h.State != market.GapOpen {
		w.work = append(w.work, *h)
		return
	}
	symbols := w.symbols
	if h.Symbol != market.AllSymbols {
		symbols = []uint32{h.Symbol}
	}
	const minuteNs = int64(60e9)
	session := w.fold.Config().Session
	left := mostMissed
	first := market.FloorDiv(h.Time, minuteNs) * minuteNs
	at := market.FloorDiv(h.Until-1, minuteNs) * minuteNs
	for ; at >= first; at -= minuteNs { // the newest first: what is too old is left
		if !session.Includes(at / 1e6) {
			continue
		}
		if left -= len(symbols); left < 0 {
			old := *h
			old.Until = min(h.Until, at+minuteNs)
			w.work = append(w.work, old)
			return
		}
		for _, s := range symbols {
			w.work = append(w.work, market.Entry{Kind: market.Hole, Symbol: s, Time: at, Until: at + minuteNs, Reason: market.GapMissed})
		}
	}
}
