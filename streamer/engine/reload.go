package engine

import (
	"fmt"
	"strings"

	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
)

// reload puts an edited document into effect, in place: no open stream drops. A document
// that cannot be run changes nothing.
func (e *Engine) reload(in Input) {
	set, err := e.readDocument(in)
	if err != nil {
		e.reloadFailed(err)
		return
	}
	old := e.settings.Load()
	e.configError.Store(nil)
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
	doc, _, err := v1alpha1.DecodeRunnable(in.Document)
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
		{!set.sameFeed(old), "spec.feed: a running stream keeps its feed; start again to change it"},
		{set.Replay != nil && set.spec.ConditionsName != old.spec.ConditionsName, "spec.bars.session.calendar: a replay reads the column conditions by it; start again to change it"},
		{set.Retention != old.Retention, "spec.backbone.retention: takes effect at a start; start again to change it"},
	} {
		if f.changed {
			fixed = append(fixed, f.say)
		}
	}
	if len(fixed) > 0 {
		return nil, fixed
	}
	return set, nil
}

// reloadFailed keeps what is in effect and says why, once for each bad document.
func (e *Engine) reloadFailed(err error) {
	wrong := v1alpha1.AsMistakes(err)
	text := wrong.Error()
	e.metrics.ConfigReloadErrors.Inc()
	e.log.Error(nil, "the edited document is not run, the one before it stays in effect", "mistakes", []string(wrong))
	e.configError.Store(&text) // last: who reads it in /status finds the rest told
}
