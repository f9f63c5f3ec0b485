package v1alpha1

import (
	"slices"
	"strings"
	"time"
)

// Resolved is a spec with every absent field filled in: the one place where it is said
// what absence means. The fields are those that streamers read.
//
// +kubebuilder:object:generate=false
type Resolved struct {
	Namespace string
	Name      string

	Symbols    []string
	Timeframes []string // shortest first; 1m is always among them
	Shards     int32

	Calendar       CalendarName // never Auto
	Hours          HoursName
	Anchor         AnchorName
	CloseGrace     time.Duration
	RevisionWindow time.Duration

	BufferCapacity          int32
	Ticks                   TicksMode
	MicrobarInterval        time.Duration
	FlushInterval           time.Duration
	HeartbeatInterval       time.Duration
	IdleAfter               time.Duration
	SeedBars                int32
	MaxConnections          int32
	MaxSymbolsPerConnection int32

	RingCapacity int32
	Upstream     UpstreamMode

	AllowedOrigins []string
	TrustedProxies []string
	SymbolLabels   Switch
	Retention      time.Duration

	Replay    *ResolvedReplay    // if it is the feed
	Synthetic *ResolvedSynthetic // if it is the feed
	// Connections is how many pods may take trades in at once; 0: as many as there are. (Not spec.shards:
	// the document that pods read does not say how many they are, so that a change of scale reloads nobody.)
	Connections int32

	overrides map[string]*Override
}

// ResolvedReplay is a ReplayFeed with every absent field filled in.
//
// +kubebuilder:object:generate=false
type ResolvedReplay struct {
	Path   string
	Speed  Speed
	Loop   LoopMode
	Rebase RebaseMode
}

// ResolvedSynthetic is a SyntheticFeed with every absent field filled in.
//
// +kubebuilder:object:generate=false
type ResolvedSynthetic struct {
	Seed           int64
	TicksPerSecond int32
	Speed          Speed
}

// Resolve fills in what is absent. The object must be valid ([Validate]).
func (m *MarketStream) Resolve() *Resolved {
	s := &m.Spec
	bars, stream := or(s.Bars), or(s.Stream)
	session, history, access := or(bars.Session), or(s.History), or(s.Access)
	r := &Resolved{
		Namespace: either(m.Namespace, "default"), Name: m.Name,
		Symbols: texts(s.Symbols), Timeframes: resolveTimeframes(s.Timeframes), Shards: value(s.Shards, 1),

		Calendar: either(session.Calendar, CalendarAuto), Hours: either(session.Hours, HoursExtended),
		Anchor:         either(bars.Anchor, AnchorClock),
		CloseGrace:     length(bars.CloseGrace, 2*time.Second),
		RevisionWindow: length(bars.RevisionWindow, 15*time.Minute),

		BufferCapacity: value(stream.BufferCapacity, 1000), Ticks: either(stream.Ticks, TicksDisabled),
		MicrobarInterval: length(stream.MicrobarInterval, 250*time.Millisecond), FlushInterval: length(stream.FlushInterval, 50*time.Millisecond),
		HeartbeatInterval: length(stream.HeartbeatInterval, 15*time.Second), IdleAfter: length(stream.IdleAfter, 5*time.Minute),
		SeedBars: value(stream.SeedBars, 50), MaxConnections: value(stream.MaxConnections, 20_000),
		MaxSymbolsPerConnection: value(stream.MaxSymbolsPerConnection, 200),

		RingCapacity: value(history.RingCapacity, 5000), Upstream: either(history.Upstream, UpstreamEnabled),
		AllowedOrigins: slices.Clone(access.AllowedOrigins), TrustedProxies: slices.Clone(access.TrustedProxies),
		SymbolLabels: either(or(s.Monitoring).SymbolLabels, SwitchAuto),
		Retention:    length(or(s.Backbone).Retention, 168*time.Hour),
	}
	if r.Calendar == CalendarAuto {
		r.Calendar = s.Feed.calendar()
	}
	if s.Feed.crypto() && bars.CloseGrace == nil {
		r.CloseGrace = 500 * time.Millisecond
	}
	r.resolveFeed(&s.Feed)
	r.overrides = make(map[string]*Override)
	for i := range s.Overrides {
		for _, symbol := range s.Overrides[i].Symbols {
			key := strings.ToUpper(string(symbol))
			if r.overrides[key] == nil { // the first wins
				r.overrides[key] = &s.Overrides[i]
			}
		}
	}
	return r
}

func (r *Resolved) resolveFeed(f *Feed) {
	switch {
	case f.Replay != nil:
		r.Replay = &ResolvedReplay{Path: f.Replay.Path, Speed: either(f.Replay.Speed, "1"),
			Loop: either(f.Replay.Loop, LoopNever), Rebase: either(f.Replay.Rebase, RebaseNow)}
	case f.Synthetic != nil:
		r.Synthetic = &ResolvedSynthetic{Seed: value(f.Synthetic.Seed, 1),
			TicksPerSecond: value(f.Synthetic.TicksPerSecond, 20), Speed: either(f.Synthetic.Speed, "1")}
	case f.Polygon != nil:
		r.Connections = value(f.Polygon.Connections, 1)
	case f.Alpaca != nil:
		r.Connections = value(f.Alpaca.Connections, 1)
	case f.Coinbase != nil:
		r.Connections = value(f.Coinbase.Connections, 0)
	case f.Kraken != nil:
		r.Connections = value(f.Kraken.Connections, 0)
	case f.Binance != nil:
		r.Connections = value(f.Binance.Connections, 0)
	}
}

// TicksFor is the mode of ticks of a symbol.
func (r *Resolved) TicksFor(symbol string) TicksMode {
	if o := r.overrides[strings.ToUpper(symbol)]; o != nil && o.Ticks != "" {
		return o.Ticks
	}
	return r.Ticks
}

// BufferCapacityFor is how many ticks of a symbol a client may lag.
func (r *Resolved) BufferCapacityFor(symbol string) int32 {
	if o := r.overrides[strings.ToUpper(symbol)]; o != nil && o.BufferCapacity != nil {
		return *o.BufferCapacity
	}
	return r.BufferCapacity
}

// FeedName is the feed by name, as it is on the wire.
func (f *Feed) FeedName() string {
	for _, n := range f.named() {
		if n.there {
			return n.name
		}
	}
	return ""
}

// +kubebuilder:object:generate=false
type namedFeed struct {
	name  string
	there bool
}

func (f *Feed) named() []namedFeed {
	return []namedFeed{{"polygon", f.Polygon != nil}, {"alpaca", f.Alpaca != nil}, {"coinbase", f.Coinbase != nil},
		{"kraken", f.Kraken != nil}, {"binance", f.Binance != nil}, {"replay", f.Replay != nil}, {"synthetic", f.Synthetic != nil}}
}

func (f *Feed) crypto() bool {
	return f.Coinbase != nil || f.Kraken != nil || f.Binance != nil ||
		f.Polygon != nil && f.Polygon.Market == PolygonCrypto || f.Alpaca != nil && f.Alpaca.Feed == AlpacaCrypto
}

// calendar is what Auto means.
func (f *Feed) calendar() CalendarName {
	if (f.Polygon != nil || f.Alpaca != nil && f.Alpaca.Feed != AlpacaTest) && !f.crypto() {
		return CalendarUSEquities
	}
	return CalendarAlwaysOpen
}

var timeframes = []Timeframe{"1m", "2m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "1d"}

func resolveTimeframes(named []Timeframe) []string {
	var out []string
	for _, tf := range timeframes {
		if tf == "1m" || slices.Contains(named, tf) {
			out = append(out, string(tf))
		}
	}
	return out
}

func texts(symbols []Symbol) []string {
	out := make([]string, len(symbols))
	for i, s := range symbols {
		out[i] = string(s)
	}
	return out
}

func or[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

func either[T ~string](v, absent T) T {
	if v == "" {
		return absent
	}
	return v
}

func length(d *Duration, absent time.Duration) time.Duration {
	if d == nil {
		return absent
	}
	v, err := time.ParseDuration(string(*d))
	if err != nil {
		return absent // Validate refuses it
	}
	return v
}
