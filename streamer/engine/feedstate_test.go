package engine

import (
	"testing"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/pods"
)

// TestFeedOfAllPods: whoever takes nothing in tells what those know that do, and everybody the worst.
func TestFeedOfAllPods(t *testing.T) {
	e := &Engine{opts: Options{Remote: &backbone.RemoteOptions{}, Pod: "a"}}
	e.feed.Store(&feed.Status{State: feed.Connecting})
	e.whole.Store(&feed.Status{})
	for _, c := range []struct {
		own  feed.State
		pods []pods.Announcement
		want feed.Status
	}{
		{feed.Connecting, nil, nobody},
		{feed.Connecting, []pods.Announcement{{Pod: "a", Feed: pods.Feed{State: "silent"}}, {Pod: "b"}}, nobody}, // what we said ourselves is old
		{feed.Connecting, []pods.Announcement{{Pod: "b", Feed: pods.Feed{State: "connected"}}, {Pod: "c"}}, feed.Status{State: feed.Connected}},
		{feed.Connecting, []pods.Announcement{{Pod: "b", Feed: pods.Feed{State: "connected"}}, {Pod: "c", Feed: pods.Feed{State: "limited", Reason: "x"}},
			{Pod: "d", Feed: pods.Feed{State: "disconnected", Reason: "y"}}}, feed.Status{State: feed.Limited, Reason: "x"}},
		{feed.Connecting, []pods.Announcement{{Pod: "b", Feed: pods.Feed{State: "ended"}}, {Pod: "c", Feed: pods.Feed{State: "catching_up"}}}, feed.Status{State: feed.CatchingUp}},
		{feed.Connecting, []pods.Announcement{{Pod: "b", Feed: pods.Feed{State: "of a later version"}}}, nobody},
		{feed.Failed, []pods.Announcement{{Pod: "b", Feed: pods.Feed{State: "connected"}}}, feed.Status{State: feed.Failed}},
	} {
		e.feed.Store(&feed.Status{State: c.own})
		e.pods.Store(&pods.View{Pods: c.pods})
		e.judgeFeed()
		if got := *e.whole.Load(); got != c.want {
			t.Errorf("%v and %+v: %+v, want %+v", c.own, c.pods, got, c.want)
		}
	}
}
