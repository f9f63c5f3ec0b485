package engine

import (
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/pods"
)

// Any pod serves any client, and a client wants to know how the feed of its symbols is doing, whoever takes
// it in: so a pod that takes trades in announces how its feed is doing, and all tell the worst that is known.

// nobody is the state of a feed that no pod takes in, as far as is known.
var nobody = feed.Status{State: feed.Connecting, Reason: "no pod takes trades in yet"}

// worse is how bad the states of a feed are, the worst first.
var worse = []feed.State{feed.Failed, feed.Limited, feed.Disconnected, feed.Silent, feed.Connecting, feed.CatchingUp, feed.Connected, feed.Ended}

// feedStatus takes what our feed says of itself.
func (e *Engine) feedStatus(s feed.Status) {
	old := e.feed.Swap(&s)
	if s.State == feed.Connected {
		e.metrics.FeedConnected.Set(1)
	} else {
		e.metrics.FeedConnected.Set(0)
	}
	if *old != s {
		e.log.Info("feed", "state", s.State.String(), "reason", s.Reason)
		select {
		case e.feedNews <- struct{}{}: // the other pods hear of it
		default:
		}
	}
	e.judgeFeed()
}

// ownFeed is how our feed is doing; ok is false while we take nothing in.
func (e *Engine) ownFeed() (s feed.Status, ok bool) {
	s = *e.feed.Load()
	return s, e.opts.Remote == nil || s.State == feed.Failed || e.plane != nil && len(e.plane.Progress()) > 0
}

// announcedFeed is ownFeed as we announce it.
func (e *Engine) announcedFeed() pods.Feed {
	s, ok := e.ownFeed()
	if !ok {
		return pods.Feed{}
	}
	return pods.Feed{State: s.State.String(), Reason: s.Reason}
}

// judgeFeed finds how the feed is doing as a whole.
func (e *Engine) judgeFeed() {
	s := nobody
	found := false
	own, ours := e.ownFeed()
	if ours {
		s, found = own, true
	}
	for _, p := range e.pods.Load().Pods {
		if p.Pod == e.opts.Pod || p.Feed.State == "" {
			continue
		}
		for at, state := range worse {
			if state.String() == p.Feed.State && (!found || at < rank(s.State)) {
				s, found = feed.Status{State: state, Reason: p.Feed.Reason}, true
			}
		}
	}
	if old := e.whole.Swap(&s); *old != s {
		e.wholeSince.Store(time.Now().UnixNano())
	}
}

// rank is the place of a state among the worse ones.
func rank(s feed.State) int {
	for at, state := range worse {
		if state == s {
			return at
		}
	}
	return len(worse)
}
