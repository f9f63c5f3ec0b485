package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"time"

	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/alpaca"
	"github.com/marketstream/marketstream/streamer/feed/coinbase"
	"github.com/marketstream/marketstream/streamer/feed/polygon"
	"github.com/marketstream/marketstream/streamer/feed/replay"
	"github.com/marketstream/marketstream/streamer/feed/synthetic"
	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/stream"
)

// settings is a document ready for use. It does not change.
type settings struct {
	*v1alpha1.Resolved
	document *v1alpha1.MarketStream
	source   string // of the feed, by name
	feedSpec v1alpha1.Feed
	spec     ingest.Spec // without what the feed adds
	revision string      // hash of the document
	// generation is the document's; nil: nobody counts, a change is the log's highest + 1.
	generation *logs.ConfigGeneration
	feedClass  logs.FeedClass
	largest    market.Timeframe
}

// newSettings turns a valid document into settings.
func newSettings(doc *v1alpha1.MarketStream, in Input) (*settings, error) {
	r := doc.Resolve()
	sum := sha256.Sum256(in.Document)
	s := &settings{Resolved: r, document: doc, generation: in.Generation, source: doc.Spec.Feed.FeedName(), feedSpec: doc.Spec.Feed, revision: hex.EncodeToString(sum[:8]), largest: market.M1}
	switch {
	case r.Synthetic != nil:
		s.feedClass = logs.FeedSynthetic
	case r.Replay != nil:
		s.feedClass = logs.FeedReplay
	default:
		s.feedClass = logs.FeedVendor
	}
	s.spec = ingest.Spec{Symbols: r.Symbols, ConditionsName: "None",
		CloseGraceMs: r.CloseGrace.Milliseconds(), RevisionMs: r.RevisionWindow.Milliseconds()}
	for _, name := range r.Timeframes {
		tf, err := market.ParseTimeframe(name)
		if err != nil {
			return nil, fmt.Errorf("spec.timeframes: %w", err)
		}
		s.spec.Timeframes = append(s.spec.Timeframes, tf)
		s.largest = max(s.largest, tf)
	}
	calendar, err := market.LookupCalendar(string(r.Calendar))
	if err != nil {
		return nil, fmt.Errorf("spec.bars.session.calendar: %w", err)
	}
	hours, err := market.ParseHours(string(r.Hours))
	if err != nil {
		return nil, fmt.Errorf("spec.bars.session.hours: %w", err)
	}
	anchor, err := market.ParseAnchor(string(r.Anchor))
	if err != nil {
		return nil, fmt.Errorf("spec.bars.anchor: %w", err)
	}
	s.spec.Session = market.Session{Calendar: calendar, Hours: hours, Anchor: anchor}
	if r.Calendar == v1alpha1.CalendarUSEquities {
		s.spec.ConditionsName = "USEquities"
	}
	if s.spec.Conditions, err = market.LookupConditions(s.spec.ConditionsName); err != nil {
		return nil, err
	}
	return s, nil
}

// sameFeed reports whether two documents name the same feed.
func (s *settings) sameFeed(o *settings) bool { return reflect.DeepEqual(s.feedSpec, o.feedSpec) }

// sameShape reports whether bars are shaped alike under two documents.
func (s *settings) sameShape(o *settings) bool { return reflect.DeepEqual(s.spec, o.spec) }

// streamConfig is what the stream is configured with; number numbers symbols.
func (s *settings) streamConfig(number func(string) uint32) stream.Config {
	c := stream.Config{Source: s.source, Timeframes: s.spec.Timeframes,
		MicrobarInterval: s.MicrobarInterval, FlushInterval: s.FlushInterval, HeartbeatInterval: s.HeartbeatInterval,
		IdleAfter: s.IdleAfter, SeedBars: int(s.SeedBars), MaxConnections: int(s.MaxConnections),
		MaxSymbolsPerConnection: int(s.MaxSymbolsPerConnection)}
	modes := map[v1alpha1.TicksMode]stream.TickMode{v1alpha1.TicksDisabled: stream.TicksDisabled,
		v1alpha1.TicksEnabled: stream.TicksEnabled, v1alpha1.TicksConflated: stream.TicksConflated}
	for _, name := range s.Symbols {
		c.Symbols = append(c.Symbols, stream.SymbolConfig{Number: number(name), Name: name,
			Ticks: modes[s.TicksFor(name)], BufferCapacity: int(s.BufferCapacityFor(name))})
	}
	return c
}

// openFeed is a source, with what its log must know of it.
type openFeed struct {
	feed.Source
	identity string
	begin    uint64 // where a new log begins
	// shiftMs and loopMs are a new log's; keep replaces them by the log's own.
	shiftMs, loopMs int64
	replay          *replay.Source
}

// openFeed makes the source that settings name.
func (e *Engine) openFeed(ctx context.Context, s *settings) (*openFeed, error) {
	f := &openFeed{}
	switch {
	case s.Synthetic != nil:
		speed, err := feed.ParseSpeed(string(s.Synthetic.Speed))
		if err != nil {
			return nil, fmt.Errorf("spec.feed.synthetic.%w", err)
		}
		src := synthetic.New(synthetic.Options{Seed: s.Synthetic.Seed, TicksPerSecond: float64(s.Synthetic.TicksPerSecond),
			Speed: speed, SeedBars: int(s.SeedBars), Largest: s.largest})
		f.Source, f.identity = src, src.Identity()
	case s.Replay != nil:
		speed, err := feed.ParseSpeed(string(s.Replay.Speed))
		if err != nil {
			return nil, fmt.Errorf("spec.feed.replay.%w", err)
		}
		path, err := recordingPath(e.opts.Recordings, s.Replay.Path)
		if err != nil {
			return nil, fmt.Errorf("spec.feed.replay.path: %w", err)
		}
		opts := replay.Options{Path: path, Speed: speed, Loop: s.Replay.Loop == v1alpha1.LoopForever, Largest: s.largest}
		if s.spec.ConditionsName != "None" {
			opts.Conditions = s.spec.Conditions.Parse
		}
		src, err := replay.Open(opts)
		if err != nil {
			return nil, fmt.Errorf("spec.feed.replay.path: %w", err)
		}
		if s.Replay.Rebase == v1alpha1.RebaseNow {
			f.shiftMs = src.ShiftTo(time.Now())
		}
		if f.loopMs, err = src.LoopMs(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("spec.feed.replay.path: %w", err), src.Close())
		}
		f.replay = src
		f.Source, f.identity = src, src.Identity()
	case s.feedSpec.Coinbase != nil:
		v := &s.feedSpec.Coinbase.VendorEndpoint
		src, err := coinbase.New(coinbase.Options{Endpoint: v.Endpoint, RESTEndpoint: v.RESTEndpoint, Log: e.log.WithName("coinbase")})
		if err != nil {
			return nil, fmt.Errorf("spec.feed.coinbase.%w", err)
		}
		f.Source, f.identity = src, "coinbase"
	case s.feedSpec.Polygon != nil:
		v := s.feedSpec.Polygon
		src, err := polygon.New(polygon.Options{Endpoint: v.Endpoint, RESTEndpoint: v.RESTEndpoint, Crypto: v.Market == v1alpha1.PolygonCrypto,
			Key: e.key(v.APIKeySecretRef.Name, v.APIKeySecretRef.Key), Session: s.spec.Session, Log: e.log.WithName("polygon")})
		if err != nil {
			return nil, fmt.Errorf("spec.feed.polygon.%w", err)
		}
		f.Source, f.identity = src, "polygon"
	case s.feedSpec.Alpaca != nil:
		v := s.feedSpec.Alpaca
		src, err := alpaca.New(alpaca.Options{Endpoint: v.Endpoint, RESTEndpoint: v.RESTEndpoint, Feed: alpaca.Feed(v.Feed),
			Key: e.key(v.KeySecretRef.Name, v1alpha1.AlpacaKeyID, v1alpha1.AlpacaSecretKey), Session: s.spec.Session, Log: e.log.WithName("alpaca")})
		if err != nil {
			return nil, fmt.Errorf("spec.feed.alpaca.%w", err)
		}
		f.Source, f.identity = src, "alpaca"
	default:
		return nil, errors.New("spec.feed: this feed is not available yet")
	}
	if b, ok := f.Source.(feed.Beginner); ok {
		f.begin = b.Begin(time.Now()).Offset
	}
	if e.opts.Faults != nil {
		f.Source = feed.Break(f.Source, *e.opts.Faults)
	}
	return f, nil
}

// key reads the keys of a Secret, as they are whenever it is called.
func (e *Engine) key(secret string, keys ...string) account.Read {
	paths := make([]string, len(keys))
	for i, k := range keys {
		paths[i] = e.host.secrets.Path(secret, k)
	}
	return account.Files(paths...)
}

// keep takes what the log fixed when it began; in a log that is older than its owner's
// record of it, its shapes say the shift.
func (f *openFeed) keep(owner *logs.Owner, heads *ingest.Heads) {
	if f.replay == nil {
		return
	}
	f.shiftMs = owner.ShiftMs
	if ms, known := heads.Shift(); known {
		f.shiftMs = ms
	}
	f.replay.SetShift(f.shiftMs)
	f.replay.SetLoopMs(owner.LoopMs)
}
