package ingest

import (
	"github.com/marketstream/marketstream/streamer/market"
)

// publishStates sends the states that changed since the last time, as one plain message.
// They may be lost: only the newest counts.
func (w *Writer) publishStates() {
	if w.strained != nil && w.strained() {
		w.env.Metrics.FeedShed.WithLabelValues("states").Inc()
		return
	}
	if w.repeat.Swap(false) {
		w.fold.Repeat()
	}
	m := &w.states
	m.Partition, m.Token, m.Watermark = uint8(w.Partition), w.Token, w.mark
	m.States = m.States[:0]
	w.fold.Changed(func(s *market.State) {
		n := len(m.States)
		if n < cap(m.States) { // keep the Forming that is there
			m.States = m.States[:n+1]
		} else {
			m.States = append(m.States, market.State{})
		}
		to := &m.States[n]
		forming := append(to.Forming[:0], s.Forming...)
		*to = *s
		to.Forming = forming
	})
	if len(m.States) == 0 {
		return
	}
	err := w.local.State(m)
	if err == nil {
		w.state, err = m.AppendBinary(w.state[:0])
	}
	if err == nil {
		err = w.env.Ticks.PublishState(w.Partition, w.state)
	}
	if err != nil {
		w.log.V(1).Info("a state message was not sent", "reason", err.Error())
	}
}

// count adds what the fold counted since the last time to the metrics.
func (w *Writer) count() {
	now := w.fold.Stats()
	if now == w.stats {
		return
	}
	for _, c := range []struct {
		reason    string
		now, then uint64
	}{
		{"outside_session", now.OutsideSession, w.stats.OutsideSession},
		{"duplicate", now.Duplicates, w.stats.Duplicates},
		{"too_late", now.TooLate, w.stats.TooLate},
		{"too_early", now.TooEarly, w.stats.TooEarly},
		{"overflow", now.Overflow, w.stats.Overflow},
	} {
		if c.now > c.then {
			w.env.Metrics.FeedRefused.WithLabelValues(c.reason).Add(float64(c.now - c.then))
		}
	}
	if now.TooLate > 0 && w.stats.TooLate == 0 && w.base.Watermark == market.EndOfFeed && !w.live {
		w.log.Info("the source goes on after the end that the log has: these trades come too late; to have bars of them, give it a log of its own")
	}
	w.env.Metrics.FeedForgotten.Add(float64(now.ForgottenIDs - w.stats.ForgottenIDs))
	w.stats = now
}
