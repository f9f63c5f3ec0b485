package history

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// symbolInfo is a carried symbol as /api/symbols shows it; prices are absent before its first bar.
type symbolInfo struct {
	Symbol      string      `json:"symbol"`
	Description string      `json:"description"`
	PriceScale  int         `json:"priceScale"`
	Timezone    string      `json:"timezone"`
	Session     string      `json:"session"`
	LastClose   json.Number `json:"lastClose,omitempty"`
	PrevClose   json.Number `json:"prevClose,omitempty"`
	From        int64       `json:"from,omitempty"`
}

// closes are the newest prices of a ring at a version.
type closes struct {
	version  uint64
	last     *market.Bar // nil: none
	today    int64       // where the day of last begins
	previous *market.Bar // the last one before it; nil: none
}

func (s *Service) serveSymbols(w http.ResponseWriter, r *http.Request) {
	s.head(w)
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.Timeout)
	defer cancel()
	list, err := s.once(ctx, "symbols", s.listSymbols)
	if err != nil {
		s.failed(w, err)
		return
	}
	s.json(w, list)
}

// listSymbols is run by one caller at a time. It asks for the bars of all symbols at once, and
// looks only into rings that have changed since it did so last.
func (s *Service) listSymbols(ctx context.Context) (any, error) {
	symbols, session := s.opts.Catalog.Symbols(), s.opts.Catalog.Session()
	seq := s.opts.Position().Seq
	asks := make([]ring.Ask, len(symbols))
	for i, sym := range symbols {
		asks[i] = ring.Ask{Symbol: sym.Number, Timeframe: market.M1, Query: ring.Query{Limit: 1, Unless: s.closes[sym.Number].version}}
	}
	newest, err := s.opts.Rings.Answer(ctx, seq, asks)
	if err != nil {
		return nil, err
	}
	all := make(map[uint32]closes, len(symbols))
	var stale []uint32
	asks = asks[:0]
	for i, sym := range symbols {
		c, ok := s.closes[sym.Number]
		same := ok && c.version == newest[i].Version
		if !same {
			c = closes{version: newest[i].Version}
			if len(newest[i].Bars) > 0 {
				c.last = &newest[i].Bars[0]
			}
		}
		if c.last != nil {
			if today, _ := session.Period(market.D1, c.last.StartMs); !same || today != c.today {
				c.today, c.previous = today, nil
				stale = append(stale, sym.Number)
				asks = append(asks, ring.Ask{Symbol: sym.Number, Timeframe: market.M1, Query: ring.Query{Limit: 1, BeforeMs: today}})
			}
		}
		all[sym.Number] = c
	}
	before, err := s.opts.Rings.Answer(ctx, seq, asks)
	if err != nil {
		return nil, err
	}
	for i, number := range stale {
		if c := all[number]; len(before[i].Bars) > 0 {
			c.previous = &before[i].Bars[0]
			all[number] = c
		}
	}
	s.closes = all
	out := make([]symbolInfo, 0, len(symbols))
	for _, sym := range symbols {
		info := symbolInfo{Symbol: sym.Name, Description: sym.Name, Timezone: session.Calendar.Location().String(), Session: session.Hours.String()}
		info.From, _, _ = s.coverage.known(sym.Number)
		if c := all[sym.Number]; c.last != nil {
			info.PriceScale = int(c.last.PriceScale)
			info.LastClose = closeOf(c.last)
			if c.previous != nil {
				info.PrevClose = closeOf(c.previous)
			}
		}
		out = append(out, info)
	}
	return out, nil
}

func closeOf(b *market.Bar) json.Number {
	return json.Number(market.AppendDecimal(nil, b.Close, b.PriceScale))
}
