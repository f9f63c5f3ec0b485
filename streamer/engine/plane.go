package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/pods"
)

// leaveWithin is how long a process that ends may take to write what it was given.
const leaveWithin = 10 * time.Second

// makePlane makes the plane and the keeper of its partitions; neither runs yet. known are the pods heard so far.
func (e *Engine) makePlane(set *settings, src *openFeed, owner *logs.Owner, known []pods.Announcement) {
	env := &ingest.Env{Bars: e.backbone.Bars(), Ticks: e.backbone.Ticks(), Symbols: e.symbols, Metrics: e.metrics,
		Log: e.log.WithName("ingest"), Heads: e.heads, Since: e.view.since, Renew: set.Retention / 4}
	e.spec = func(s *settings) *ingest.Spec {
		spec := s.spec
		spec.Source, spec.Feed, spec.ShiftMs = src.identity, s.feedClass, src.shiftMs
		spec.First, spec.Begin = owner.Generation, market.SourcePosition{Offset: owner.BeginOffset}
		if s.generation != nil {
			spec.Generation = *s.generation
		} else {
			heads := e.view.headsNow()
			spec.Count(&heads, e.symbols)
		}
		return &spec
	}
	e.plane = ingest.NewPlane(ingest.PlaneOptions{Env: env, Source: src.Source, Spec: e.spec(set),
		Status: e.feedStatus, Ended: e.writerEnded, Failed: e.planeFailed, Covered: e.announce})
	live, ok := src.Source.(feed.Live)
	e.keeper = pods.NewKeeper(pods.Options{Pod: e.opts.Pod, Address: e.opts.Address, Known: known,
		Registry: e.backbone.Registry(), Peers: e.backbone.Peers(), Holder: holder{e},
		Overlap: ok && live.Traits().Overlap, Sole: e.opts.Remote == nil, Log: e.log.WithName("pods"), Changed: e.podsChanged})
}

// writerEnded has a partition claimed anew whose writer cannot go on: the log has moved
// under it, and what it had is void.
func (e *Engine) writerEnded(partition int, err error) {
	if errors.Is(err, pods.ErrLost) {
		return // the keeper knows
	}
	after := time.Duration(0)
	if !errors.Is(err, ingest.ErrFenced) && !errors.Is(err, logs.ErrRewound) {
		e.log.Error(err, "a partition is not written", "partition", partition, "again in", writeAgain.String())
		e.feedStatus(feed.Status{State: feed.Failed, Reason: err.Error()})
		after = writeAgain
	} else {
		e.log.Info("a partition begins again from the log", "partition", partition, "reason", err.Error())
	}
	time.AfterFunc(after, func() { e.keeper.Retake(e.work, partition) })
}

// writeAgain is after how long a partition is tried again whose writer met what it does not understand.
const writeAgain = 10 * time.Second

// planeFailed takes what the feed cannot get over. A process that serves, and a pod, goes on serving,
// and says so; a process alone that starts gives up.
func (e *Engine) planeFailed(err error) {
	if !e.serving.Load() && e.opts.Remote == nil {
		e.fail(err)
		return
	}
	e.log.Error(err, "nothing is taken in any more; what is there is served")
	e.feedStatus(feed.Status{State: feed.Failed, Reason: err.Error()})
}

// announce lets the other pods know how many clients we have, what of that we were offered comes already, and how our feed is doing.
func (e *Engine) announce() {
	e.keeper.Report(e.work, e.hub.Connections(), e.plane.Gathered(), e.announcedFeed())
}

// heads are where the partitions end, once the view has applied everything that is stored.
func (e *Engine) heads(ctx context.Context) (ingest.Heads, logs.Bounds, error) {
	at := e.view.last() // before the log is asked: it grows meanwhile
	b, err := e.backbone.Bars().Bounds(ctx)
	if err != nil {
		return ingest.Heads{}, b, fmt.Errorf("asking for the end of BARS: %w", err)
	}
	if at > b.Last {
		return ingest.Heads{}, b, fmt.Errorf("%w: it ends at %d, %d was read", logs.ErrRewound, b.Last, at)
	}
	h, err := e.view.headsAt(ctx, b.Last)
	return h, b, err
}

// holder does what the keeper decides.
type holder struct{ e *Engine }

// Floor implements [pods.Holder].
func (h holder) Floor(ctx context.Context, partition int) (uint64, error) {
	floor := uint64(0)
	e, err := h.e.backbone.Bars().Last(ctx, partition)
	if err == nil {
		var f *logs.Frame
		if f, err = logs.DecodeFrame(e.Data); err == nil {
			floor = f.Token
		}
	}
	if err != nil && !errors.Is(err, logs.ErrGone) {
		return 0, err
	}
	data, err := h.e.backbone.Ticks().Last(ctx, partition)
	if err != nil && !errors.Is(err, logs.ErrGone) {
		return 0, err
	}
	if err == nil {
		token, _, err := logs.PeekBatch(data)
		if err != nil {
			return 0, err
		}
		floor = max(floor, token)
	}
	return floor, nil
}

// Prepare implements [pods.Holder].
func (h holder) Prepare(partition int) { h.e.plane.Prepare(partition) }

// Forget implements [pods.Holder].
func (h holder) Forget(partition int) { h.e.plane.Forget(partition) }

// Start implements [pods.Holder].
func (h holder) Start(g *pods.Grant, reason pods.Reason) {
	h.e.metrics.PartitionHolder.WithLabelValues(fmt.Sprint(g.Partition)).Set(1)
	h.e.metrics.PartitionMoves.WithLabelValues(string(reason)).Inc()
	h.e.plane.Claim(ingest.Claim{Partition: g.Partition, Token: g.Token, Gate: g})
}

// Release implements [pods.Holder].
func (h holder) Release(ctx context.Context, partition int) {
	h.e.plane.Release(ctx, partition)
	h.e.metrics.PartitionHolder.WithLabelValues(fmt.Sprint(partition)).Set(0)
}

// Lost implements [pods.Holder].
func (h holder) Lost(partition int) {
	h.e.plane.Lost(partition)
	h.e.metrics.PartitionHolder.WithLabelValues(fmt.Sprint(partition)).Set(0)
}

func (e *Engine) feedSymbols(set *settings) []feed.Symbol {
	out := make([]feed.Symbol, 0, len(set.spec.Symbols))
	for _, name := range set.spec.Symbols {
		out = append(out, feed.Symbol{Number: e.symbols.Intern(name), Name: name})
	}
	return out
}
