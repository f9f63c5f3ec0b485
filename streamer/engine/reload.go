package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/marketstream/marketstream/api/podreport"
	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
)

// reload puts an edited document into effect, in place: no open stream drops. A document
// that cannot be run changes nothing.
func (e *Engine) reload(in Input) {
	set, err := e.readDocument(in)
	if err != nil {
		e.keep(reasonOf(err), err)
		return
	}
	old := e.settings.Load()
	e.host.need(set.document)
	e.host.refused.Store(nil)
	if set.revision == old.revision {
		return
	}
	e.apply(set)
	if !set.sameShape(old) {
		// Rings first, so that nothing that the new shape closes is passed over.
		if err := e.shard.Settle(e.work); err != nil {
			if e.work.Err() == nil {
				e.fail(fmt.Errorf("putting the new document into effect: %w", err))
			}
			return
		}
		e.plane.Reload(e.spec(set))
	}
	e.metrics.ConfigReloads.Inc()
	e.log.Info("the document was reloaded", "revision", set.revision, "symbols", len(set.Symbols), "timeframes", strings.Join(set.Timeframes, " "))
}

// readDocument decodes and checks a document, and what of it a running process can change.
func (e *Engine) readDocument(in Input) (*settings, error) {
	doc, _, err := v1alpha1.DecodeRunnable(in.Document, e.opts.place())
	if err != nil {
		return nil, err
	}
	set, err := newSettings(doc, in)
	if err != nil {
		return nil, err
	}
	old := e.settings.Load()
	var fixed v1alpha1.Mistakes
	for _, f := range []struct {
		changed bool
		say     string
	}{
		{set.Namespace != old.Namespace || set.Name != old.Name, "metadata.name, metadata.namespace: a running stream keeps its name; start again to run another"},
		{set.feedClass != old.feedClass, fmt.Sprintf("spec.feed: the log holds %s data and this feed is %s; bars of the two are never mixed, so make another MarketStream of it", old.feedClass, set.feedClass)},
		{set.feedClass == old.feedClass && !set.sameFeed(old), "spec.feed: a running stream keeps its feed; start again to change it"},
		{set.Replay != nil && set.spec.ConditionsName != old.spec.ConditionsName, "spec.bars.session.calendar: a replay reads the column conditions by it; start again to change it"},
		{set.Retention != old.Retention, "spec.backbone.retention: takes effect at a start; start again to change it"},
		{!sameLog(set, old), "spec.backbone.external: a running stream keeps its log; start again to change it"},
		{externalOf(set.document) != nil && longestMessage(set) > longestMessage(e.settings.Load()) && longestMessage(set) > e.longest, fmt.Sprintf("spec.symbols, spec.timeframes: messages may come to %d bytes, and the NATS server was checked for %d; start again, so that it is checked anew", longestMessage(set), e.longest)},
	} {
		if f.changed {
			fixed = append(fixed, f.say)
		}
	}
	if len(fixed) > 0 && set.feedClass != old.feedClass {
		return nil, fmt.Errorf("%w: %w", ErrOtherFeed, fixed)
	}
	if len(fixed) > 0 {
		return nil, fmt.Errorf("%w: %w", errNeedsRestart, fixed)
	}
	return set, nil
}

// errNeedsRestart is wrapped by the error of a document that a process which starts would run.
var errNeedsRestart = errors.New("start again to change it")

// unreadable keeps what is in effect.
func (e *Engine) unreadable(err error) { e.keep(podreport.ConfigUnreadable, err) }

// keep keeps what is in effect and says why, once for each bad document.
func (e *Engine) keep(reason string, err error) {
	wrong := v1alpha1.AsMistakes(err)
	e.metrics.ConfigReloadErrors.Inc()
	e.log.Error(nil, "the edited document is not run, the one before it stays in effect", "reason", reason, "mistakes", []string(wrong))
	e.host.refused.Store(&refusal{reason, wrong.Error()}) // last: who reads it in /status finds the rest told
}
