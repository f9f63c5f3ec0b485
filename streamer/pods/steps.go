package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	leasePrefix = "lease."
	drainPrefix = "drain."
	tokenKey    = "token"
)

func leaseKey(p int) string { return leasePrefix + strconv.Itoa(p) }

func leasePartition(key string) (p int, ok bool) {
	text, ok := strings.CutPrefix(key, leasePrefix)
	if !ok {
		return 0, false
	}
	p, err := strconv.Atoi(text)
	return p, err == nil && p >= 0 && p < market.Partitions && leaseKey(p) == key
}

// decodeLease reads a key; what is no lease counts as one that is not there, and is overwritten.
func decodeLease(kv logs.KeyValue) (l Lease, there bool) {
	if kv.Deleted || json.Unmarshal(kv.Value, &l) != nil {
		return Lease{}, false
	}
	return l, true
}

// begin runs a step beside the keeper's goroutine, which gets what came of it.
func (k *Keeper) begin(ctx context.Context, s Step) {
	k.busy[s.Partition] = true
	k.steps.Go(func() {
		asked := time.Now()
		done := k.run(ctx, s)
		k.do(ctx, func() {
			k.busy[s.Partition] = false
			done(asked)
		})
	})
}

// stop lets a writer end, while its lease goes on being renewed.
func (k *Keeper) stop(ctx context.Context, s Step) {
	p, g := s.Partition, k.grants[s.Partition]
	k.writers[p] = Stopping
	k.opts.Log.V(1).Info("a partition is let go", "partition", p, "why", s.Why)
	k.steps.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, releaseWithin)
		defer cancel()
		k.opts.Holder.Release(ctx, p)
		k.do(context.WithoutCancel(ctx), func() {
			if k.grants[p] == g { // not lost meanwhile
				k.writers[p] = Stopped
			}
		})
	})
}

// run does a step's IO and returns what its end changes.
func (k *Keeper) run(ctx context.Context, s Step) (done func(asked time.Time)) {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	if s.Kind == Take {
		token, err := k.draw(ctx, s.Partition)
		if err != nil {
			return k.failed(s, err)
		}
		s.Lease.Token = token
	}
	if s.Kind != Look {
		sent := time.Now()
		rev, err := k.put(ctx, s)
		if err == nil {
			return func(time.Time) { k.stored(s, sent, rev) }
		}
		if !errors.Is(err, logs.ErrConflict) && !errors.Is(err, logs.ErrUnavailable) {
			return k.failed(s, err)
		}
		// It may have been written, or somebody else has written: look.
	}
	asked := time.Now()
	kv, err := k.opts.Registry.Get(ctx, leaseKey(s.Partition))
	switch {
	case errors.Is(err, logs.ErrGone):
		return func(time.Time) { k.saw(s.Partition, asked, time.Now(), 0, Lease{}, false) }
	case err != nil:
		return k.failed(s, err)
	}
	lease, there := decodeLease(kv)
	if s.Kind != Look && there && lease == s.Lease { // ours after all
		return func(time.Time) { k.stored(s, asked, kv.Revision) }
	}
	return func(time.Time) { k.saw(s.Partition, asked, time.Now(), kv.Revision, lease, there) }
}

func (k *Keeper) failed(s Step, err error) func(time.Time) {
	return func(time.Time) {
		k.leases.Unanswered()
		k.again[s.Partition] = time.Now().Add(stepAgain)
		k.opts.Log.V(1).Info("a step about a lease failed", "step", string(s.Kind), "partition", s.Partition, "reason", err.Error())
	}
}

// stored puts a confirmed put into effect.
func (k *Keeper) stored(s Step, sent time.Time, rev uint64) {
	p := s.Partition
	if cur, ok := k.leases.Lease(p); ok && s.Kind != Take && cur.Token > s.Lease.Token {
		return // a watch was faster: another has it
	}
	k.leases.Stored(p, sent, time.Now(), rev, s.Lease)
	switch s.Kind {
	case Take:
		if old := k.grants[p]; old != nil {
			old.Lose()
		}
		k.offered[p], k.writers[p] = false, Writing
		k.grants[p] = NewGrant(p, s.Lease.Token, sent.Add(TTL))
		detail := 0
		if s.Reason == ReasonSole {
			detail = 1
		}
		k.opts.Log.V(detail).Info("a partition is ours", "partition", p, "token", s.Lease.Token, "why", s.Why)
		k.opts.Holder.Start(k.grants[p], s.Reason)
	case Renew:
		if g := k.grants[p]; g != nil {
			g.Until(sent.Add(TTL))
		}
	case Give:
		detail := 0
		if s.Lease.Next == "" {
			detail = 1
		}
		k.opts.Log.V(detail).Info("a partition was given away", "partition", p, "to", s.Lease.Next, "why", s.Why)
		if g := k.grants[p]; g != nil {
			g.Lose()
			k.grants[p], k.writers[p] = nil, Writing
		}
	}
}

func (k *Keeper) put(ctx context.Context, s Step) (rev uint64, err error) {
	value, err := json.Marshal(&s.Lease)
	if err != nil {
		return 0, err
	}
	return k.opts.Registry.Put(ctx, leaseKey(s.Partition), s.Expect, value)
}

type tokenValue struct {
	Token uint64 `json:"token"`
}

// draw draws a fencing token: 1 + the highest of the counter and of what the logs have of the partition.
func (k *Keeper) draw(ctx context.Context, partition int) (token uint64, err error) {
	floor, err := k.opts.Holder.Floor(ctx, partition)
	if err != nil {
		return 0, fmt.Errorf("asking the logs for the highest token: %w", err)
	}
	k.tokens.Lock()
	defer k.tokens.Unlock()
	for ctx.Err() == nil {
		var now tokenValue
		kv, err := k.opts.Registry.Get(ctx, tokenKey)
		switch {
		case errors.Is(err, logs.ErrGone):
		case err != nil:
			return 0, err
		default:
			if err := json.Unmarshal(kv.Value, &now); err != nil {
				return 0, fmt.Errorf("the counter of tokens reads %q: %w", kv.Value, err)
			}
		}
		next := tokenValue{max(now.Token, floor) + 1}
		value, err := json.Marshal(next)
		if err != nil {
			return 0, err
		}
		_, err = k.opts.Registry.Put(ctx, tokenKey, kv.Revision, value)
		if err == nil {
			return next.Token, nil
		}
		if !errors.Is(err, logs.ErrConflict) {
			return 0, err // if it was written, a token is left out: no harm
		}
	}
	return 0, ctx.Err()
}

// announceDrain tells the pods to come how many clients we let go.
func (k *Keeper) announceDrain(ctx context.Context) {
	d := Drain{Pod: k.opts.Pod, AtMs: time.Now().UnixMilli(), Leaving: k.self.Connections}
	for _, a := range k.members.All() {
		if a.Pod != k.opts.Pod {
			d.Others += a.Connections
		}
	}
	value, err := json.Marshal(&d)
	if err != nil {
		return // numbers and a string: cannot fail
	}
	k.steps.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, stepWithin)
		defer cancel()
		if _, err := k.opts.Registry.Put(ctx, drainPrefix+k.opts.Pod, 0, value); err != nil {
			k.opts.Log.Info("the drain was not announced", "reason", err.Error())
		}
	})
}

// sawDrain takes what the registry says of a drain, and removes one that is old.
func (k *Keeper) sawDrain(kv logs.KeyValue) {
	var d Drain
	if kv.Deleted || json.Unmarshal(kv.Value, &d) != nil {
		delete(k.drains, kv.Key)
		return
	}
	k.drains[kv.Key] = drainSeen{d, kv.Revision}
}

// hold is [Hold] by what we know.
func (k *Keeper) hold(now time.Time, pods []Announcement) string {
	drains := make([]Drain, 0, len(k.drains))
	for _, d := range k.drains {
		drains = append(drains, d.Drain)
	}
	return Hold(k.opts.Pod, now, drains, pods)
}

// forgetDrains removes drains that are long over, from the registry too.
func (k *Keeper) forgetDrains(ctx context.Context, now time.Time) {
	for key, d := range k.drains {
		if now.Sub(time.UnixMilli(d.AtMs)) < keepDrains {
			continue
		}
		delete(k.drains, key)
		k.steps.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, stepWithin)
			defer cancel()
			if err := k.opts.Registry.Delete(ctx, key, d.rev); err != nil {
				k.opts.Log.V(1).Info("an old drain was not removed", "key", key, "reason", err.Error())
			}
		})
	}
}
