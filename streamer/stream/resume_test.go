package stream

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// fill publishes n minutes of four symbols, with a gap in the middle.
func (w *world) fill(n int64) {
	for i := range n {
		w.minute(i, "AAA", "BBB", "CCC", "DDD")
		if i == n/2 {
			p := uint8(market.PartitionOf("AAA"))
			w.append(&logs.Frame{Kind: logs.FrameBars, Partition: p, Gaps: []market.Gap{
				{Symbol: w.symbols.Intern("AAA"), FromMs: t0, ToMs: t0 + 120_000, Reason: market.GapDisconnect}}})
		}
	}
}

// TestCutAfterEveryEvent follows two symbols and two timeframes, is cut after every single
// event in turn, and resumes: each event comes once, in order.
func TestCutAfterEveryEvent(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(12)
	const query = "symbols=aaa,ccc&timeframe=1m,5m"
	begin := epoch + ".0.0.00000000" // just before the log's first frame
	whole := w.connect(query, begin)
	var want []string
	for len(want) < 24+4+1 {
		e := whole.next("bar", "gap")
		want = append(want, e.ID+" "+e.Data)
	}
	var got []string
	for id := begin; len(got) < len(want); {
		c := w.connect(query, id)
		e := c.next("bar", "gap")
		got = append(got, e.ID+" "+e.Data)
		id = c.LastID()
		c.close()
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestOneLoop publishes while a client replays: nothing is lost or comes twice between the two.
func TestOneLoop(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(200)
	c := w.connect("symbols=BBB", epoch+".0.0.00000000")
	go func() {
		for i := int64(200); i < 400; i++ {
			w.minute(i, "AAA", "BBB")
		}
	}()
	for i := range int64(400) {
		if e := c.next("bar"); !strings.Contains(e.Data, fmt.Sprintf(`"seq":%d,`, market.Seq(t0)+i)) {
			t.Fatalf("bar %d is %s", i, e.Data)
		}
	}
}

// TestFresh reads the exact bytes of a fresh connection: seeds have no id, then the bare id.
func TestFresh(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(6)
	c := w.connect("symbols=bbb&timeframe=1m,5m&seed=2", "")
	head := c.res.Header
	for k, v := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
		"X-Market-Source": "synthetic", "X-Epoch-Id": epoch} {
		if head.Get(k) != v {
			t.Errorf("%s: %q, want %q", k, head.Get(k), v)
		}
	}
	boot := c.next("bootstrap", "epoch")
	if !strings.Contains(boot.Data, `"warm":true,"symbols":["BBB"],"timeframe":"1m","ticks":true,"microbarIntervalMs":100,"heartbeatMs":15000,"idleMs":60000,"timeframes":["1m","5m"]}`) {
		t.Error(boot.Data)
	}
	if e := c.next("bar", "epoch"); e.Data != `{"epochId":"testepoch1","epochStartMs":0,"symbols":["BBB"],"timeframe":"1m","timeframes":["1m","5m"]}` {
		t.Error(e.Data)
	}
	for _, want := range []string{
		`{"symbol":"BBB","timeframe":"1m","seq":28494154,"bar_start":1709649240000,"bar_end":1709649300000,"ohlcv":{"o":100.04,"h":100.04,"l":100.04,"c":100.04,"v":5},"vwap":100.04,"n":1}`,
		`{"symbol":"BBB","timeframe":"1m","seq":28494155,"bar_start":1709649300000,"bar_end":1709649360000,"ohlcv":{"o":100.05,"h":100.05,"l":100.05,"c":100.05,"v":5},"vwap":100.05,"n":1}`,
		`{"symbol":"BBB","timeframe":"5m","seq":28494150,"bar_start":1709649000000,"bar_end":1709649300000,"ohlcv":{"o":200.04,"h":200.04,"l":200.04,"c":200.04,"v":5},"vwap":200.04,"n":1}`,
	} {
		if e := c.next("bar"); e.Data != want || e.HasID {
			t.Errorf("id %v: %s\nwant %s", e.HasID, e.Data, want)
		}
	}
	w.minute(6, "BBB")
	e := c.next("bar")
	if want := fmt.Sprintf("%s.%d.0.%08x", epoch, w.last, uint32(w.last)*7919+1); e.ID != want || !e.HasID {
		t.Errorf("id %s, want %s", e.ID, want)
	}
	// A connection that broke right after the seeds had the bare id, and misses nothing.
	again := w.connect("symbols=bbb", fmt.Sprintf("%s.%d.0.%08x", epoch, w.last-1, uint32(w.last-1)*7919+1))
	if got := again.next("bar"); got.Data != e.Data {
		t.Error(got.Data)
	}
}

// TestSinceSeq fills from a seq, for old clients also by the header.
func TestSinceSeq(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(10)
	since := fmt.Sprint(market.Seq(t0) + 6)
	for name, c := range map[string]*testClient{
		"query":  w.connect("symbols=AAA&sinceSeq="+since, ""),
		"header": w.connect("symbols=AAA", since),
	} {
		for want := market.Seq(t0) + 7; want < market.Seq(t0)+10; want++ {
			if e := c.next("bar"); e.HasID || !strings.Contains(e.Data, fmt.Sprintf(`"seq":%d,`, want)) {
				t.Errorf("%s: %v %s, want %d", name, e.HasID, e.Data, want)
			}
		}
	}
}

// TestSinceSeqPastAFill: where more bars lie after a seq than one fill holds, the client is told to
// forget what it has, and gets the newest.
func TestSinceSeqPastAFill(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(10)
	w.most = 6
	c := w.connect(fmt.Sprint("symbols=AAA,BBB&timeframe=5m,1m&sinceSeq=", market.Seq(t0)+3), "")
	if got := c.next("reset", "bar"); got.Type != "bar" { // 1m are 6 of both: no more than a fill holds
		t.Error(got.Type)
	}
	c.close()
	c = w.connect(fmt.Sprint("symbols=AAA,BBB&timeframe=5m,1m&sinceSeq=", market.Seq(t0)+2), "")
	if got := c.next("reset"); got.Data != `{"reason":"cursor_too_old"}` || got.HasID {
		t.Error(got.Data)
	}
	var seqs []int64
	for range 10 { // 2 of 5m and 3 of 1m, of each symbol
		var b struct{ Seq int64 }
		e := c.next("bar")
		if err := json.Unmarshal([]byte(e.Data), &b); err != nil || e.HasID {
			t.Fatal(e, err)
		}
		seqs = append(seqs, b.Seq-market.Seq(t0))
	}
	if want := []int64{0, 5, 7, 8, 9, 0, 5, 7, 8, 9}; !slices.Equal(seqs, want) {
		t.Errorf("%v, want %v", seqs, want)
	}
	w.minute(10, "AAA", "BBB")
	if got := c.next("bar"); !got.HasID || w.resumed["since_seq"] != 1 || w.resumed["reset"] != 1 {
		t.Errorf("%+v %v", got, w.resumed)
	}
}

// TestResets has a cursor of every kind that cannot be resumed from: a reset, a snapshot
// without ids, then everything after it.
func TestResets(t *testing.T) {
	w := newWorld(t, Options{HorizonBytes: 40 * 1100, TailBytes: 10 * 1100})
	w.fill(30)
	w.first = 5
	for name, c := range map[string]struct{ id, reason string }{
		"other epoch":       {fmt.Sprintf("otherepoch.%d.0.%08x", w.last, uint32(w.last)*7919+1), "epoch_changed"},
		"other tag":         {fmt.Sprintf("%s.%d.0.%08x", epoch, w.last, 5), "log_rewound"},
		"past the end":      {fmt.Sprintf("%s.%d.0.%08x", epoch, w.last+1, 5), "log_rewound"},
		"beyond its frame":  {fmt.Sprintf("%s.%d.9.%08x", epoch, w.last, uint32(w.last)*7919+1), "log_rewound"},
		"aged out":          {fmt.Sprintf("%s.3.0.%08x", epoch, uint32(3)*7919+1), "cursor_too_old"},
		"too far behind":    {fmt.Sprintf("%s.7.0.%08x", epoch, uint32(7)*7919+1), "cursor_too_old"},
		"other tag, behind": {fmt.Sprintf("%s.%d.0.%08x", epoch, w.last-20, 5), "log_rewound"},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.connect("symbols=AAA", c.id)
			if e := s.next("reset", "bar"); e.Type != "reset" || e.Data != `{"reason":"`+c.reason+`"}` {
				t.Fatalf("%s %s, want %s", e.Type, e.Data, c.reason)
			}
			for range 3 {
				if e := s.next("bar"); e.HasID {
					t.Errorf("a snapshot's bar has the id %s", e.ID)
				}
			}
			eventuallyID(t, s, w)
		})
	}
	t.Run("malformed is fresh", func(t *testing.T) {
		if e := w.connect("symbols=AAA", "what.ever").next("reset", "bar"); e.Type != "bar" {
			t.Errorf("%s %s", e.Type, e.Data)
		}
	})
}

func eventuallyID(t *testing.T, s *testClient, w *world) {
	t.Helper()
	w.minute(int64(w.last)+100, "AAA")
	if e := s.next("bar"); !e.HasID {
		t.Errorf("no id on a live bar: %s", e.Data)
	}
}

// TestTruncate rewinds the log under open streams.
func TestTruncate(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(10)
	c := w.connect("symbols=AAA,BBB", epoch+".0.0.00000000")
	for range 21 {
		c.next("bar", "gap")
	}
	w.mu.Lock()
	for seq := uint64(20); seq <= w.last; seq++ {
		delete(w.frames, seq)
	}
	w.last = 19
	w.rings = map[string][]market.Bar{}
	w.mu.Unlock()
	w.Truncate(19)
	w.minute(500, "AAA")
	if e := c.next("bar", "reset"); e.Type != "reset" || e.Data != `{"reason":"log_rewound"}` {
		t.Fatalf("%s %s", e.Type, e.Data)
	}
	w.minute(501, "AAA")
	for c.next("bar").Data == "" || !strings.HasPrefix(c.LastID(), epoch) {
	}
}

// TestSweep lets many clients come back from far behind the tail: they share a few sweeps.
func TestSweep(t *testing.T) {
	w := newWorld(t, Options{TailBytes: 20 * 1100})
	w.fill(300)
	const clients = 60
	var streams [clients]*testClient
	for i := range streams {
		streams[i] = w.connect("symbols=AAA,CCC", epoch+".0.0.00000000")
	}
	var want []string
	for i, c := range streams {
		var got []string
		for len(got) < 601 {
			got = append(got, c.next("bar", "gap").ID)
		}
		if i == 0 {
			want = got
		} else if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("client %d:\n%s", i, d)
		}
	}
	seen := map[string]bool{}
	for _, id := range want {
		if seen[id] {
			t.Errorf("%s twice", id)
		}
		seen[id] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%d sweeps for %d clients", w.sweeps, clients)
	if w.sweeps == 0 || w.sweeps > clients {
		t.Errorf("%d sweeps", w.sweeps)
	}
}

// TestQuietClient moves the cursor of a client whose symbols do not trade.
func TestQuietClient(t *testing.T) {
	w := newWorld(t, Options{}, func(c *Config) { c.HeartbeatInterval = 100 * 1e6 })
	w.fill(2)
	c := w.connect("symbols=DDD", "")
	c.next("bar")
	w.minute(8, "AAA")
	want := fmt.Sprintf("%s.%d.0.%08x", epoch, w.last, uint32(w.last)*7919+1)
	for c.LastID() != want {
		if e := c.next("ping", "bar"); e.Type == "bar" && strings.Contains(e.Data, "AAA") {
			t.Fatal(e.Data)
		}
	}
}

// TestEndsWithEOF makes sure that a closed hub ends its streams.
func TestEndsWithEOF(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(1)
	c := w.connect("symbols=AAA", "")
	c.next("bar")
	w.Hub.Close()
	for {
		if _, err := c.Next(); err != nil {
			if err != io.EOF { //nolint:errorlint // the reader's own
				t.Error(err)
			}
			return
		}
	}
}
