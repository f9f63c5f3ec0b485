package engine

import (
	"context"
	"fmt"
	"strconv"

	"github.com/marketstream/marketstream/streamer/history"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/stream"

	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
)

// streamMetrics are the stream's metrics.
type streamMetrics struct{ *metrics.Set }

func (m streamMetrics) Connections(n int)         { m.Set.Connections.Set(float64(n)) }
func (m streamMetrics) Events(kind string, n int) { m.Set.Events.WithLabelValues(kind).Add(float64(n)) }
func (m streamMetrics) Dropped(symbol, timeframe, event string, n int) {
	m.Set.Dropped.WithLabelValues(m.Symbol(symbol), timeframe, event).Add(float64(n))
}
func (m streamMetrics) Delivery(seconds float64) { m.Set.Delivery.Observe(seconds) }
func (m streamMetrics) Resumed(result string)    { m.Resumes.WithLabelValues(result).Inc() }
func (m streamMetrics) BeatsSkipped(n int)       { m.Set.BeatsSkipped.Add(float64(n)) }
func (m streamMetrics) Sweep()                   { m.Sweeps.Inc() }
func (m streamMetrics) Rejected(code int)        { m.Set.Rejected.WithLabelValues(strconv.Itoa(code)).Inc() }
func (m streamMetrics) TailBytes(n int)          { m.Set.TailBytes.Set(float64(n)) }

// historyMetrics are history's metrics.
type historyMetrics struct{ *metrics.Set }

func (m historyMetrics) Requested(result string)     { m.HistoryRequests.WithLabelValues(result).Inc() }
func (m historyMetrics) Coalesced()                  { m.HistoryCoalesced.Inc() }
func (m historyMetrics) VendorRequest(result string) { m.VendorRequests.WithLabelValues(result).Inc() }
func (m historyMetrics) VendorEmpty(symbol, timeframe string) {
	m.Set.VendorEmpty.WithLabelValues(m.Symbol(symbol), timeframe).Inc()
	m.PolygonEmpty.WithLabelValues(m.Symbol(symbol), timeframe).Inc()
}

// records is a feed whose vendor has bars of minutes.
type records interface {
	Records(ctx context.Context, symbol string, fromMs, toMs int64) ([]market.Record, error)
}

// vendorBars is history beyond the log: the feed's vendor's.
type vendorBars struct{ records }

// Records implements [history.Upstream].
func (v vendorBars) Records(ctx context.Context, symbol string, fromMs, toMs int64) ([]market.Record, error) {
	records, err := v.records.Records(ctx, symbol, fromMs, toMs)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", history.ErrUpstream, err)
	}
	return records, err
}

// upstream is where history beyond the log comes from; nil: there is none.
func (e *Engine) upstream() history.Upstream {
	if e.opts.Upstream != nil {
		return e.opts.Upstream
	}
	if r, ok := e.source.Source.(records); ok {
		return vendorBars{r}
	}
	return nil
}

// seeds are the bars that streams begin with: all that rings and log have of them. The vendor is
// not asked: a stream waits for nobody outside.
type seeds struct {
	history *history.Service
	symbols *market.SymbolTable
}

// Bars implements [stream.Seeds].
func (s seeds) Bars(ctx context.Context, seq uint64, q stream.SeedQuery, fn func(uint32, []market.Bar) error) error {
	requests := make([]history.Request, 0, len(q.Symbols)*len(q.Timeframes))
	for _, symbol := range q.Symbols {
		for _, tf := range q.Timeframes {
			r := history.Request{Symbol: history.Symbol{Number: symbol, Name: s.symbols.Name(symbol)}, Timeframe: tf,
				HereOnly: true, Newest: true, Seq: seq}
			// One more than are wanted tells whether there are more.
			r.Query = ring.Query{Limit: q.Limit + 1, AfterSeq: q.AfterSeq, HasAfter: q.HasAfter}
			if !q.HasAfter {
				r.Limit = q.Limit
			}
			requests = append(requests, r)
		}
	}
	return s.history.All(ctx, requests, func(i int, bars []market.Bar) error {
		if len(bars) > q.Limit {
			return stream.ErrTooMany
		}
		return fn(requests[i].Symbol.Number, bars)
	})
}

// shardMetrics are the shard's metrics.
type shardMetrics struct{ *metrics.Set }

func (m shardMetrics) Moved(direction string, rings int) {
	m.RingMoves.WithLabelValues(direction).Add(float64(rings))
}
func (m shardMetrics) Forwarded(result string, n int) {
	m.RingForwards.WithLabelValues(result).Add(float64(n))
}

// catalog is what the stream carries, as it is now.
type catalog struct{ e *Engine }

// Lookup implements [history.Catalog].
func (c catalog) Lookup(symbol string) (history.Symbol, bool) {
	number, ok := c.e.symbols.ID(symbol)
	if !ok {
		return history.Symbol{}, false
	}
	name, ok := c.e.carried.Load().names[number]
	return history.Symbol{Number: number, Name: name}, ok
}

// Symbols implements [history.Catalog].
func (c catalog) Symbols() []history.Symbol { return c.e.carried.Load().list }

// Timeframes implements [history.Catalog].
func (c catalog) Timeframes() []market.Timeframe { return c.e.settings.Load().spec.Timeframes }

// Session implements [history.Catalog].
func (c catalog) Session() market.Session { return c.e.settings.Load().spec.Session }

// UpstreamEnabled implements [history.Catalog].
func (c catalog) UpstreamEnabled() bool {
	return c.e.settings.Load().Upstream == v1alpha1.UpstreamEnabled
}

// Status implements [history.Catalog].
func (c catalog) Status() history.Status {
	st := c.e.whole.Load()
	return history.Status{Source: c.e.settings.Load().source, Reason: st.Reason, Session: c.e.session(),
		State: st.State.String(), WatermarkMs: c.e.reached(), Epoch: c.e.view.epoch}
}

// carried is the symbols that the stream carries now.
type carried struct {
	list  []history.Symbol
	names map[uint32]string
}
