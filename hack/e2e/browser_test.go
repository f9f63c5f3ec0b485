//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/marketstream/marketstream/hack/cluster/host"
)

// browser is a Chromium that finds *.example.test at the ingress.
type browser struct{ ctx context.Context }

func startBrowser(t *testing.T, ip string) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if err := host.Install(t.Context(), func(line string) { t.Log(line) }, host.Program{Path: "chromium", Package: "chromium"}); err != nil {
			t.Fatal(err)
		}
		path = "chromium"
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.IgnoreCertErrors,
		chromedp.Flag("host-resolver-rules", "MAP *.example.test "+ip))
	all, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(all)
	t.Cleanup(end)
	b := &browser{ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return b
}

// page is an open one that listens to streams.
type page struct {
	t   *testing.T
	ctx context.Context
	url string
}

// script listens as a page does that knows nothing of us: a bare EventSource, made anew only before it was ever open, as
// when one reloads a page that is not there yet. When the browser gives up on one that was open, that is counted.
const script = `(url) => {
	window.events = []; window.errors = 0; window.gaveUp = 0; window.opened = 0; window.tries = 0;
	const kinds = ['bootstrap', 'epoch', 'bar', 'microbar', 'tick', 'gap', 'reset', 'status', 'ping'];
	const listen = () => {
		window.tries++;
		const es = new EventSource(url);
		window.es = es;
		for (const type of kinds) es.addEventListener(type, (e) => window.events.push({at: Date.now(), type, id: e.lastEventId, data: e.data}));
		es.onopen = () => { window.opened++; };
		es.onerror = () => {
			window.errors++;
			if (es.readyState !== EventSource.CLOSED) return;
			if (window.opened > 0) window.gaveUp++;
			setTimeout(listen, 100);
		};
	};
	listen();
}`

// open opens a page of a host and listens to a path of it. Whatever the host answers to the page, its origin is right.
func (b *browser) open(t *testing.T, host, path string) *page {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx)
	t.Cleanup(end)
	p := &page{t: t, ctx: ctx, url: path}
	if err := chromedp.Do(ctx, chromedp.Navigate("https://"+host+"/api/market/status")); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](fmt.Sprintf("(%s)(%q)", script, path))); err != nil {
		t.Fatal(err)
	}
	return p
}

// event is one that a page got.
type event struct {
	At             int64 // Unix ms
	Type, ID, Data string
}

// state is what a page counts.
type state struct{ Errors, GaveUp, Opened, Tries int }

func evaluate[T any](p *page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func (p *page) state() state {
	p.t.Helper()
	return evaluate[state](p, "({Errors: errors, GaveUp: gaveUp, Opened: opened, Tries: tries})")
}

// events are those of a type from a place on.
func (p *page) events(kind string, from int) (out []event) {
	p.t.Helper()
	text := evaluate[string](p, fmt.Sprintf("JSON.stringify(events.slice(%d).filter(e => e.type === %q).map(e => ({At: e.at, Type: e.type, ID: e.id, Data: e.data})))", from, kind))
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

// count is how many events came so far.
func (p *page) count() int { p.t.Helper(); return evaluate[int](p, "events.length") }

// first waits for an event of a kind from a place on, whose data has a text.
func (p *page) first(kind, has string, from int) event {
	p.t.Helper()
	var e event
	eventually(p.t, hangs, func() string {
		text := evaluate[string](p, fmt.Sprintf("JSON.stringify(events.slice(%d).find(e => e.type === %q && e.data.includes(%q)) || {})", from, kind, has))
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return err.Error()
		}
		if e.Type == "" {
			return fmt.Sprintf("the page has no %s with %q; %+v", kind, has, p.state())
		}
		return ""
	})
	return e
}

// unbroken fails if the stream broke since it was open.
func (p *page) unbroken(since state) {
	p.t.Helper()
	if now := p.state(); now != since {
		p.t.Errorf("the stream of the page broke: %+v before, %+v now", since, now)
	}
}

// kept fails if the browser gave up, or a bar came twice, or one is missing.
func (p *page) kept() (bars int) {
	p.t.Helper()
	if s := p.state(); s.GaveUp > 0 {
		p.t.Errorf("the browser gave up %d times", s.GaveUp)
	}
	last := map[string]int64{}
	seen := map[string]bool{}
	for _, e := range p.events("bar", 0) {
		var b struct {
			Symbol, Timeframe string
			Seq               int64
			Rev               int
		}
		if err := json.Unmarshal([]byte(e.Data), &b); err != nil {
			p.t.Fatalf("bar %q: %v", e.Data, err)
		}
		bars++
		line, name := b.Symbol+" "+b.Timeframe, fmt.Sprint(b.Symbol, b.Timeframe, b.Seq, b.Rev)
		if seen[name] {
			p.t.Errorf("%s %d rev %d came twice", line, b.Seq, b.Rev)
		}
		seen[name] = true
		if b.Rev > 0 {
			continue
		}
		step := map[string]int64{"1m": 1, "5m": 5}[b.Timeframe]
		if was, ok := last[line]; ok && b.Seq != was+step {
			p.t.Errorf("%s %d came after %d", line, b.Seq, was)
		}
		last[line] = b.Seq
	}
	return bars
}

// since is from a moment until an event of a page.
func since(t time.Time, e event) float64 { return time.UnixMilli(e.At).Sub(t).Seconds() }
