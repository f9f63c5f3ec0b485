package engine

import (
	"context"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/stream"
)

// observeEvery is how often gauges that nothing moves by itself are set.
const observeEvery = time.Second

// observe sets gauges and keeps the log's owner from ageing out, until ctx ends.
func (e *Engine) observe(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	seen := &ringsSeen{evicted: make(map[ring.Size]uint64)}
	keepOwner := time.NewTicker(max(time.Minute, e.settings.Load().Retention/4))
	defer keepOwner.Stop()
	e.gauge(seen)
	for {
		select {
		case <-ctx.Done():
			return
		case <-keepOwner.C:
			if err := renewOwner(ctx, e.backbone.Bars()); err != nil && ctx.Err() == nil {
				e.log.Error(err, "the log's owner could not be written again")
			}
		case <-tick.C:
			e.gauge(seen)
			e.judgeFeed()
			e.sayStatus()
			e.announce()
		case <-e.feedNews:
			e.announce()
		}
	}
}

// ringsSeen is what the last look at the rings found.
type ringsSeen struct {
	evicted map[ring.Size]uint64 // by symbol and timeframe
	sizes   map[[2]string]int    // by labels
}

// sayPressure logs what gives way when that changes.
func (e *Engine) sayPressure() {
	now := e.plane.Pressure()
	if now == e.pressure {
		return
	}
	e.pressure = now
	what := [...]string{ingest.NoPressure: "nothing", ingest.TicksGiveWay: "ticks to clients", ingest.StatesGiveWay: "ticks to clients, open bars"}[now]
	e.log.Info("trades come faster than they are folded, or did", "gives way", what, "waiting", e.plane.Waiting())
}

// gauge sets what is measured by looking, and takes away what is said of rings that are gone.
func (e *Engine) gauge(last *ringsSeen) {
	bytes := 0
	now := ringsSeen{evicted: make(map[ring.Size]uint64, len(last.evicted)), sizes: make(map[[2]string]int, len(last.sizes))}
	e.view.rings.Each(func(s ring.Size) {
		bytes += s.Bytes
		labels := [2]string{e.metrics.Symbol(e.symbols.Name(s.Symbol)), s.Timeframe.String()}
		now.sizes[labels] += s.Bars
		k := ring.Size{Symbol: s.Symbol, Timeframe: s.Timeframe}
		if n := s.Evicted - min(s.Evicted, last.evicted[k]); n > 0 {
			e.metrics.RingEvictions.WithLabelValues(labels[0], labels[1]).Add(float64(n))
		}
		now.evicted[k] = s.Evicted
	})
	for labels, n := range now.sizes {
		e.metrics.RingSize.WithLabelValues(labels[0], labels[1]).Set(float64(n))
	}
	for labels := range last.sizes {
		if _, there := now.sizes[labels]; !there {
			e.metrics.RingSize.DeleteLabelValues(labels[0], labels[1])
			e.metrics.RingEvictions.DeleteLabelValues(labels[0], labels[1])
		}
	}
	*last = now
	e.metrics.RingBytes.Set(float64(bytes))
	held, wanted := e.shard.Counts()
	e.metrics.RingsHeld.Set(float64(held))
	e.metrics.RingsWanted.Set(float64(wanted))
	e.metrics.FeedWaiting.Set(float64(e.plane.Waiting()))
	e.sayPressure()
	e.metrics.ConfigGeneration.Set(float64(e.view.generation().Generation))
	if ms, ok := e.watermark(); ok && ms < market.EndOfFeed {
		e.metrics.FeedLag.Set(float64(time.Now().UnixMilli()-ms) / 1000)
	}
}

// watermark is the smallest of the partitions that we hold, or else of all, in ms; ok is false before the first.
func (e *Engine) watermark() (ms int64, ok bool) {
	if e.plane == nil {
		return 0, false
	}
	if g := e.plane.Progress(); len(g) > 0 {
		ms = market.EndOfFeed
		for _, w := range g {
			if w.WatermarkMs == 0 {
				return 0, false
			}
			ms = min(ms, w.WatermarkMs)
		}
		return ms, true
	}
	return e.view.watermark() // others take the trades in
}

// reached is the watermark as people and programs are told it: 0 before the first, and after the end
// of a recording, when nothing more can come, the time of its last trade.
func (e *Engine) reached() int64 {
	ms, ok := e.watermark()
	switch {
	case !ok:
		return 0
	case ms >= market.EndOfFeed:
		return e.view.lastTrade()
	}
	return ms
}

// session is the phase of the trading day at the watermark: time comes from the exchange.
func (e *Engine) session() string {
	ms := e.reached()
	if ms == 0 {
		ms = time.Now().UnixMilli()
	}
	return e.settings.Load().spec.Session.Calendar.Phase(ms).String()
}

// settled is how long the feed stays in a state before clients hear of it: a reload has it read a
// little again, which is nothing to them.
const settled = observeEvery / 2

// sayStatus tells clients when the feed's state or the session has changed.
func (e *Engine) sayStatus() {
	if time.Since(time.Unix(0, e.wholeSince.Load())) < settled {
		return
	}
	s := e.whole.Load()
	e.hub.Status(stream.Status{State: s.State.String(), Reason: s.Reason, Session: e.session()})
}

// moves are the partitions that are on their way from one pod to another.
func (e *Engine) moves() []podreport.Move {
	out := []podreport.Move{}
	v := e.pods.Load()
	for p := range v.Leases {
		l, to := v.Leases[p], v.Assigned[p]
		if to == "" || l.Holder == to {
			continue
		}
		m := podreport.Move{Partition: p, From: l.Holder, To: to, State: "waiting", Reason: "it is to hold it"}
		if l.Next != "" {
			m.State = "offered"
		}
		if l.Holder == "" {
			m.State = "given"
		}
		out = append(out, m)
	}
	return out
}

// report is what the process says of the document that it runs or is about to.
func (e *Engine) report() podreport.Report {
	set, st := e.settings.Load(), e.whole.Load()
	if !e.assembled.Load() {
		return podreport.Report{ConfigRevision: set.revision, Moves: []podreport.Move{},
			Partitions: []podreport.Partition{}, Feed: podreport.Feed{Name: set.source, State: st.State.String()}, Symbols: len(set.Symbols)}
	}
	r := podreport.Report{ConfigRevision: set.revision, Epoch: e.view.epoch,
		Moves: []podreport.Move{}, Partitions: []podreport.Partition{},
		Feed:        podreport.Feed{Name: set.source, State: st.State.String(), Reason: st.Reason, Session: e.session(), WatermarkMs: e.reached()},
		Connections: e.hub.Connections(), Ready: e.ready.Load(), Draining: e.draining.Load(), Symbols: len(set.Symbols),
		Log: podreport.LogPositions{AppliedSeq: e.view.last()}}
	r.Feed.Own = e.announcedFeed().State
	r.ConfigGeneration = e.view.generation().Generation
	for _, g := range e.plane.Progress() {
		if g.WatermarkMs >= market.EndOfFeed {
			g.WatermarkMs = e.view.lastTrade(g.Partition)
		}
		r.Partitions = append(r.Partitions, podreport.Partition{ID: g.Partition, Token: g.Token, Symbols: g.Symbols,
			WatermarkMs: g.WatermarkMs, LastSeq: g.LastSeq})
	}
	r.Moves = e.moves()
	r.Listening.States, r.Listening.Ticks = e.listener.report()
	r.Rings.Held, r.Rings.Wanted = e.shard.Counts()
	e.view.rings.Each(func(s ring.Size) { r.Rings.Bytes += s.Bytes })
	r.Rings.Set = e.shard.Set()
	if id := e.loaded.Load(); id != nil {
		r.Rings.Loaded = *id
	}
	return r
}
