package stream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestTicksByReload switches ticks of open streams on and off, by symbol: a stream gets those that
// it wants, from then on.
func TestTicksByReload(t *testing.T) {
	modes := func(aaa, bbb TickMode) func(*Config) {
		return func(c *Config) { c.Symbols[0].Ticks, c.Symbols[1].Ticks = aaa, bbb }
	}
	w := newWorld(t, Options{}, modes(TicksDisabled, TicksDisabled))
	aaa, bbb := w.symbols.Intern("AAA"), w.symbols.Intern("BBB")
	c := w.connect("symbols=AAA,BBB", "")
	deaf := w.connect("symbols=AAA,BBB&events=bar", "")
	reload := func(aaa, bbb TickMode) {
		next := w.config
		next.Symbols = append([]SymbolConfig(nil), w.config.Symbols...)
		modes(aaa, bbb)(&next)
		w.Configure(next)
	}
	price := int64(0)
	tick := func(symbol uint32) {
		price++
		w.Tick(&market.Entry{Symbol: symbol, Time: t0 * 1e6, Price: market.Decimal{Coef: price}, Size: market.Decimal{Coef: 1}})
	}
	wanted := func(a, b bool) {
		t.Helper()
		eventually(t, "ticks are wanted as they are switched", func() bool { return w.WantsTicks(aaa) == a && w.WantsTicks(bbb) == b })
	}
	expect := func(symbol string) {
		t.Helper()
		if e := c.next("tick"); !strings.Contains(e.Data, `"symbol":"`+symbol+`"`) {
			t.Errorf("%s, want one of %s", e.Data, symbol)
		}
	}
	tick(aaa)
	reload(TicksDisabled, TicksEnabled) // by an override
	wanted(false, true)
	tick(aaa)
	tick(bbb)
	expect("BBB")
	reload(TicksEnabled, TicksDisabled)
	wanted(true, false)
	tick(bbb)
	tick(aaa)
	expect("AAA")
	reload(TicksConflated, TicksConflated)
	wanted(true, true)
	tick(bbb)
	expect("BBB")
	reload(TicksDisabled, TicksDisabled)
	wanted(false, false)
	w.minute(0, "AAA")
	for _, x := range []*testClient{c, deaf} {
		if e := x.next("tick", "bar"); e.Type != "bar" {
			t.Error(e.Data)
		}
	}
	reload(TicksEnabled, TicksEnabled)
	wanted(true, true)
	gone := w.config
	gone.Symbols = w.config.Symbols[1:]
	w.Configure(gone)
	wanted(false, false)
	c.close()
	reload(TicksEnabled, TicksEnabled)
	eventually(t, "nobody is left", func() bool {
		tick(aaa)
		w.minute(1, "AAA") // to be written to
		return w.Hub.Connections() == 1 && !w.WantsTicks(aaa)
	})
}

// TestGivesUpItsSlot: a client that closed is gone long before the next heartbeat, from a full pod
// too; over HTTP/2 as well.
func TestGivesUpItsSlot(t *testing.T) {
	w := newWorld(t, Options{}, func(c *Config) { c.MaxConnections = 2 })
	stays := w.connect("symbols=AAA", "")
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		for e, err := stays.Next(); err == nil && e.Type != "ping"; e, err = stays.Next() {
			continue
		}
	}()
	gone := func() {
		t.Helper()
		eventually(t, "its slot is free", func() bool {
			select {
			case <-pinged:
				t.Fatal("a heartbeat came first")
			default:
			}
			return w.Hub.Connections() == 1
		})
	}
	c := w.connect("symbols=BBB", "")
	c.next("epoch")
	c.close()
	gone()
	second := httptest.NewUnstartedServer(w.Hub)
	second.EnableHTTP2 = true
	second.StartTLS()
	defer second.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, second.URL+"?symbols=CCC", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := second.Client().Do(req)
	if err != nil || res.ProtoMajor != 2 {
		t.Fatalf("%v %+v", err, res)
	}
	eventually(t, "it is there", func() bool { return w.Hub.Connections() == 2 })
	cancel()
	_ = res.Body.Close()
	gone()
}
