package backbone

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// Watch implements logs.Registry.
func (r *registry) Watch(ctx context.Context, fn func(logs.KeyValue) error) error {
	w := &watch{registry: r, fn: fn, given: map[string]logs.KeyValue{}}
	return r.again(ctx, "a watch of CTL", func() uint64 { return w.count }, w.session)
}

// watch is one watch, over as many consumers as it takes. At the beginning of each it is
// told everything anew, and passes on what fn does not have.
type watch struct {
	*registry
	watchdog
	fn    func(logs.KeyValue) error
	given map[string]logs.KeyValue // what fn knows to be there
	count uint64
}

func (w *watch) session(ctx context.Context) error {
	bounds, err := w.bounds(ctx)
	if err != nil {
		return err
	}
	p, err := w.newPuller(ctx, 1, "")
	if err != nil {
		return err
	}
	defer p.close()
	there := map[string]logs.KeyValue{}
	if bounds.First <= bounds.Last {
		err = w.load(ctx, p, bounds.Last, func(kv logs.KeyValue, _ *jetstream.MsgMetadata) error {
			there[kv.Key] = kv
			w.seen.Store(kv.Revision)
			return nil
		})
	}
	if err == nil {
		err = w.compare(there, bounds)
	}
	if err != nil {
		return err
	}
	w.seen.Store(max(bounds.Last, w.seen.Load()))
	return w.follow(ctx, p)
}

// compare gives fn what it does not have. After a rewind that is everything.
func (w *watch) compare(there map[string]logs.KeyValue, bounds logs.Bounds) error {
	rewound := false
	for key, had := range w.given {
		has, ok := there[key]
		rewound = rewound || had.Revision > bounds.Last || !ok || has.Revision < had.Revision ||
			has.Revision == had.Revision && !bytes.Equal(has.Value, had.Value)
	}
	for _, key := range slices.Sorted(maps.Keys(w.given)) {
		if has, ok := there[key]; !ok {
			if err := w.give(logs.KeyValue{Key: key, Revision: bounds.Last, Deleted: true}); err != nil {
				return err
			}
		} else if rewound || has.Revision != w.given[key].Revision {
			continue
		} else {
			delete(there, key) // fn has it
		}
	}
	order := slices.SortedFunc(maps.Values(there), func(a, b logs.KeyValue) int {
		if a.Revision < b.Revision {
			return -1
		}
		return 1
	})
	for _, kv := range order {
		if _, had := w.given[kv.Key]; kv.Deleted && !had {
			continue // it never was, to fn
		}
		if err := w.give(kv); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) give(kv logs.KeyValue) error {
	if err := w.fn(kv); err != nil {
		return &stopError{err}
	}
	if w.given[kv.Key] = kv; kv.Deleted {
		delete(w.given, kv.Key)
	}
	w.count++
	return nil
}

func (w *watch) follow(ctx context.Context, p *puller) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer w.watchdog.watch(ctx, w.conn, cancel)()
	p.ctx = ctx
	for {
		w.waiting.Store(true)
		m, at, err := p.next(0)
		w.waiting.Store(false)
		if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, context.Canceled) {
			err = cause
		}
		if errors.Is(err, logs.ErrRewound) {
			return errStalled // the next session tells fn
		}
		if err != nil {
			return err
		}
		kv := keyValue(w.key(m.Subject()), at.Sequence.Stream, m.Headers(), m.Data())
		if err := w.give(kv); err != nil {
			return err
		}
		w.seen.Store(kv.Revision)
	}
}
