package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/system"
	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	readyWithin   = 2 * time.Minute
	closedAfter   = 8 * time.Second // of a minute's end, its bars are there
	lookAgain     = 2 * time.Second
	readWithin    = time.Minute
	followsWithin = time.Minute
)

// settle mends everything, waits until what the log says is true, and has the oracle look at the rest.
func (r *run) settle(ctx context.Context, done int) (*Result, error) {
	r.mend(ctx)
	began := time.Now()
	if err := r.sys.AwaitReady(ctx, readyWithin); err != nil {
		r.wrong("system", "all is mended, and not everything is ready: "+err.Error())
	}
	r.line.Say("chaos", "all is mended and ready after %s; waiting until the log is true", time.Since(began).Round(time.Millisecond))
	var c *oracle.Checker
	var log *oracle.Log
	for last := ""; ; {
		var err error
		if c, log, err = r.look(ctx, began); err == nil && c != nil && len(c.Findings) == 0 {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		text := "the next minute has not closed yet"
		if err != nil {
			text = err.Error()
		} else if c != nil {
			text = fmt.Sprintf("%d lost, %d wrong, %d partial, as %s", c.Lost, c.Wrong, c.Partial, c.Findings[0].Text)
		}
		if text != last {
			last = text
			r.line.Say("chaos", "   %s", text)
		}
		if err == nil && c != nil {
			r.dump(ctx, c) // while TICKS has what it was made from
		}
		if time.Since(began) > r.Settle {
			if c == nil {
				c = r.checker()
				c.Stuck("system", "the log could not be looked at: %s", text)
			}
			break
		}
		r.env.Sleep(ctx, lookAgain)
	}
	if log != nil {
		r.line.Say("chaos", "the log was looked at after %s: %d events; looking at pods and clients", time.Since(began).Round(time.Millisecond), len(log.Events))
		r.pods(ctx, c, log)
		r.follow(ctx, c, log)
		for _, check := range r.checks {
			check(log)
		}
	}
	return r.result(c, done), ctx.Err()
}

const mostDumps = 3

// dump writes down what the log holds of symbols whose bars are not true, once each, and a few.
func (r *run) dump(ctx context.Context, c *oracle.Checker) {
	for _, f := range c.Findings {
		if f.Symbol == "" || len(r.dumped) == mostDumps || r.dumped[f.Symbol] || f.Lost {
			continue
		}
		r.dumped[f.Symbol] = true
		path, err := r.sys.Dump(ctx, f.Symbol)
		if err != nil {
			r.line.Say("chaos", "%v", err)
			continue
		}
		r.line.Say("chaos", "   see %s: %s", path, f.Text)
	}
}

// mend undoes everything that was done.
func (r *run) mend(ctx context.Context) {
	r.line.Say("chaos", "mending everything")
	r.mu.Lock()
	r.stop = nil
	r.mu.Unlock()
	r.env.Heal()
	for _, n := range r.sys.Nodes {
		n.Pause(false)
		for _, v := range n.Valves {
			if v != nil {
				v.Mend()
			}
		}
	}
	for _, p := range r.sys.Slots {
		p.Pause(false)
		p.MendLinks()
	}
	if r.Scenario == nil {
		r.env.Carry(r.sys.Fickle, r.sys.TimeframesFickle)
		r.env.Scale(ctx, r.Pods, 0)
	}
	for _, c := range r.clients {
		c.Hurry()
	}
}

// checker makes a checker of what is true now.
func (r *run) checker() *oracle.Checker {
	c := &oracle.Checker{Truth: make(oracle.Truth), Timeframes: append(append([]string(nil), r.sys.TimeframesAlways...), r.sys.TimeframesFickle...),
		Absences: r.env.Absences, Until: time.Now().Add(-closedAfter).Truncate(time.Minute)}
	if r.sys.Feed != "" {
		return c // nobody knows what is invented
	}
	for _, s := range append(append([]string(nil), r.sys.Always...), r.sys.Fickle...) {
		trades, err := r.sys.Vendor.Trades(s, 0, 0)
		if err != nil {
			c.Bad("oracle", time.Time{}, "%v", err)
		}
		list := make([]oracle.Trade, len(trades))
		for i, t := range trades {
			list[i] = oracle.Trade{TimeNs: t.TimeNs, Price: t.Price.String(), Size: t.Size.String()}
		}
		if err := c.Truth.Add(s, list, c.Timeframes); err != nil {
			c.Bad("oracle", time.Time{}, "%v", err)
		}
	}
	return c
}

// look reads the log and holds it against the truth; a checker of nil: no minute has closed since it was mended.
func (r *run) look(ctx context.Context, began time.Time) (*oracle.Checker, *oracle.Log, error) {
	if time.Now().Add(-closedAfter).Truncate(time.Minute).Before(began) {
		return nil, nil, nil
	}
	ready := r.sys.Ready()
	if len(ready) == 0 {
		return nil, nil, fmt.Errorf("no pod is ready")
	}
	c := r.checker()
	log, err := r.read(ctx, ready[0], c.Timeframes, 0)
	if err != nil {
		return nil, nil, err
	}
	if r.sys.Feed == "" {
		c.Bars("the log, by "+ready[0].Name(), log.Final)
	}
	return c, log, nil
}

// read reads the log as a pod tells it, up to a sequence and all that the pod has.
func (r *run) read(ctx context.Context, p *system.Pod, timeframes []string, until uint64) (*oracle.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	report, err := p.Report(ctx)
	if err != nil {
		return nil, err
	}
	symbols := append(append([]string(nil), r.sys.Always...), r.sys.Fickle...)
	return oracle.ReadLog(ctx, p.URL(), report.Epoch, r.logFrom, symbols, timeframes, max(until, report.Log.AppliedSeq))
}

// pods looks whether every pod tells the same log, and the truth in its history.
func (r *run) pods(ctx context.Context, c *oracle.Checker, log *oracle.Log) {
	for _, p := range r.sys.Running() {
		mine, err := r.read(ctx, p, c.Timeframes, log.Last.Seq)
		if err == nil {
			err = log.Same(mine)
		}
		if err != nil {
			c.Bad(p.Name(), time.Now(), "its log is not that of %s: %v", r.sys.Ready()[0].Name(), err)
		}
		if r.sys.Feed != "" {
			continue
		}
		bars := make(map[clients.Key]*clients.Bar)
		for _, s := range append(append([]string(nil), r.sys.Always...), r.sys.Fickle...) {
			for _, tf := range c.Timeframes {
				got, err := oracle.ReadHistory(ctx, p.URL(), s, tf)
				if err != nil {
					c.Bad(p.Name(), time.Now(), "%v", err)
				}
				for i := range got {
					bars[got[i].Key()] = &got[i]
				}
			}
		}
		c.Bars("history of "+p.Name(), bars)
	}
}

// follow waits until every client has come as far as the log, and looks at what it saw.
func (r *run) follow(ctx context.Context, c *oracle.Checker, log *oracle.Log) {
	limit := time.Now().Add(followsWithin)
	var all sync.WaitGroup
	behind := make([]string, len(r.clients))
	for i, cl := range r.clients {
		all.Go(func() {
			for {
				cur, err := logs.ParseCursor(cl.Newest())
				switch {
				case err == nil && cur.Seq >= log.Last.Seq:
					return
				case time.Now().After(limit) || ctx.Err() != nil || cl.GaveUp() != "":
					behind[i] = cl.Newest()
					if behind[i] == "" {
						behind[i] = "no id"
					}
					return
				}
				r.env.Sleep(ctx, 100*time.Millisecond)
			}
		})
	}
	all.Wait()
	for i, cl := range r.clients {
		if behind[i] != "" {
			c.Stuck(cl.Name, "it is at %s and the log at %s; it asks for %v %v and gave up: %q", behind[i], log.Last, cl.Symbols, cl.Timeframes, cl.GaveUp())
		}
		c.Client(cl, log)
	}
}

func (r *run) result(c *oracle.Checker, done int) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &Result{Counts: c.Counts, Findings: append(append([]oracle.Finding(nil), r.bad...), c.Findings...), Faults: done}
	for _, cl := range r.clients {
		res.Visits += int(cl.Visits())
	}
	return res
}
