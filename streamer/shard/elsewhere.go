package shard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/peer"
)

const (
	// fetchWithin bounds what is fetched for many: two pods that hang and a reading of BARS.
	fetchWithin = 30 * time.Second
	// mostFlights bounds the questions that are under way.
	mostFlights = 1 << 17
)

// errCrowded says that too much is being asked for.
var errCrowded = errors.New("too many rings of other pods are being asked for")

// elsewhere finds what rings have that are not here: in the cache, at other pods, in BARS.
type elsewhere struct {
	shard *Shard
	*cache
	log *logReader

	flying  sync.Mutex
	flights map[want]*flight
}

// flight is a question under way; identical ones share it.
type flight struct {
	want
	seq   uint64        // that is to be applied
	have  *found        // an older answer; nil: none
	done  chan struct{} // closed when found or err is set
	found *found
	err   error
}

func newElsewhere(s *Shard) *elsewhere {
	e := &elsewhere{shard: s, cache: newCache(), flights: make(map[want]*flight)}
	e.log = &logReader{opts: &s.opts}
	return e
}

// find returns what the rings have that wants are about, in their order, once everything up to
// seq of BARS is in them. Everything up to seq must be applied here.
func (e *elsewhere) find(ctx context.Context, seq uint64, wants []want) ([]*found, error) {
	out := make([]*found, len(wants))
	wait := make(map[int]*flight)
	var mine []*flight
	cached, joined := 0, 0
	e.flying.Lock()
	for i, w := range wants {
		have, good := e.get(w, seq)
		if good {
			out[i] = have
			cached++
			continue
		}
		f := e.flights[w]
		if f != nil && e.good(f, seq) {
			joined++
		} else {
			f = &flight{want: w, seq: seq, have: have, done: make(chan struct{})}
			mine = append(mine, f)
		}
		e.flights[w] = f
		wait[i] = f
	}
	crowded := len(e.flights) > mostFlights
	if crowded {
		e.land(mine, errCrowded)
	}
	e.flying.Unlock()
	e.count("cache", cached)
	e.count("joined", joined)
	if len(mine) > 0 && !crowded {
		go e.fetch(context.WithoutCancel(ctx), seq, mine)
	}
	for i, f := range wait {
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err != nil {
			return nil, f.err
		}
		out[i] = f.found
	}
	return out, nil
}

// good reports whether a flight brings what is wanted at seq.
func (e *elsewhere) good(f *flight, seq uint64) bool {
	e.cache.mu.Lock()
	defer e.cache.mu.Unlock()
	return e.covers(f.symbol, f.seq, seq)
}

// land ends flights that have no answer, with e.flying held.
func (e *elsewhere) land(flights []*flight, err error) {
	for _, f := range flights {
		if e.flights[f.want] == f {
			delete(e.flights, f.want)
		}
		if f.found == nil {
			f.err = err
		}
		close(f.done)
	}
}

func (e *elsewhere) count(result string, n int) {
	if n > 0 {
		e.shard.opts.Metrics.Forwarded(result, n)
	}
}

// fetch brings flights home: from who holds the ring, from who held it, from BARS. It ends by itself.
func (e *elsewhere) fetch(ctx context.Context, seq uint64, flights []*flight) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	e.cache.mu.Lock()
	resets := e.resets
	e.cache.mu.Unlock()
	left := flights
	if e.shard.opts.Peers != nil {
		for try := range tries {
			left = e.ask(ctx, seq, left, try)
		}
	}
	var err error
	if len(left) > 0 {
		err = e.log.read(ctx, left)
		e.count(map[bool]string{true: "log", false: "failed"}[err == nil], len(left))
	}
	for _, f := range flights {
		if f.found != nil {
			e.put(f.want, f.found, resets)
		}
	}
	e.flying.Lock()
	defer e.flying.Unlock()
	e.land(flights, err)
}

// tries is how many pods are asked for a ring at most.
const tries = 2

// candidate is the address of the pod to ask for a symbol's ring at a try; "": there is none.
func (s *Shard) candidate(p *place, symbol uint32, try int) string {
	name := s.opts.Symbols.Name(symbol)
	holder := p.now.Holder(name)
	first, _ := p.view.Get(holder)
	second := first
	second.Address = ""
	if p.before != nil {
		if before := p.before.Holder(name); before != holder {
			second, _ = p.view.Get(before)
		}
	}
	if first.Rings != p.now.ID() && second.Address != "" {
		first, second = second, first
	}
	if try > 0 {
		first = second
	}
	if first.Pod == s.opts.Self {
		return ""
	}
	return first.Address
}

// ask asks the pods of one try, all at once, and returns the flights that are still without an answer.
func (e *elsewhere) ask(ctx context.Context, seq uint64, flights []*flight, try int) (left []*flight) {
	p := e.shard.place.Load()
	byPod := make(map[string][]*flight)
	for _, f := range flights {
		if a := e.shard.candidate(p, f.symbol, try); a != "" {
			byPod[a] = append(byPod[a], f)
		}
	}
	var all sync.WaitGroup
	for address, fs := range byPod {
		all.Go(func() { e.askPod(ctx, address, seq, fs) })
	}
	all.Wait()
	for _, f := range flights {
		if f.found == nil {
			left = append(left, f)
		}
	}
	return left
}

// askPod asks one pod, in as many requests as it takes.
func (e *elsewhere) askPod(ctx context.Context, address string, seq uint64, flights []*flight) {
	for len(flights) > 0 {
		n := min(len(flights), peer.MaxAsks)
		later, err := e.request(ctx, address, seq, flights[:n])
		if err != nil {
			e.count("error", len(flights))
			e.shard.opts.Log.V(1).Info("a pod was asked for rings in vain", "address", address, "asks", n, "reason", err.Error())
			return
		}
		flights = append(later, flights[n:]...)
	}
}

// request sends one request; later are flights that did not fit its answer.
func (e *elsewhere) request(ctx context.Context, address string, seq uint64, flights []*flight) (later []*flight, err error) {
	o := &e.shard.opts
	q := &peer.Request{Epoch: o.Epoch, Seq: seq, Asks: make([]peer.Ask, len(flights))}
	if o.Tag != nil {
		q.Tag = o.Tag(seq)
	}
	for i, f := range flights {
		q.Asks[i] = peer.Ask{Symbol: o.Symbols.Name(f.symbol), Timeframe: f.tf, Query: f.Query}
		if f.have != nil {
			q.Asks[i].Unless = f.have.Version
		}
	}
	applied, answers, err := o.Peers.Ask(ctx, address, q)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ok, same, lacking := 0, 0, 0
	for i, f := range flights {
		a := &answers[i]
		switch {
		case a.State == peer.Later:
			later = append(later, f)
		case a.State != peer.Here:
			lacking++
		case a.Same:
			x := *f.have
			x.Info, x.applied, x.at = a.Info, applied, now
			f.found = &x
			same++
		default:
			f.found = &found{Info: a.Info, count: a.Count, data: append([]byte(nil), a.Data...), applied: applied, at: now}
			ok++
		}
	}
	e.count("ok", ok)
	e.count("same", same)
	e.count("lacking", lacking)
	if len(later) == len(flights) {
		return nil, errors.New("it answered nothing")
	}
	return later, nil
}
