package peer

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// world is a pod with rings of A and B, applied up to 10, and one that asks it.
type world struct {
	t       *testing.T
	rings   *ring.Set
	symbols market.SymbolTable
	file    string // credentials
	keys    *Keys  // of the pod that is asked
	server  *httptest.Server
	client  *Client
	tag     atomic.Uint32
	asked   atomic.Int64
	last    *http.Request // as it came
	body    []byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, rings: ring.NewSet(1000), file: filepath.Join(t.TempDir(), "token")}
	w.write("one")
	w.keys = w.newKeys()
	a, b := w.symbols.Intern("A"), w.symbols.Intern("B")
	w.rings.Carry([]uint32{a, b}, []market.Timeframe{market.M1, market.M5})
	w.symbols.Intern("C")
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range int64(300) {
		x := someBar(rnd, market.M1, i)
		w.rings.Apply(a, &x)
	}
	w.rings.SetApplied(10)
	s := NewServer(ServerOptions{Keys: w.keys, Rings: w.rings, Symbols: &w.symbols, Epoch: "e1", Tag: func(uint64) uint32 { return w.tag.Load() }})
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		w.last = r.Clone(context.Background())
		w.body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(w.body)))
		s.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.client = NewClient(w.newKeys())
	t.Cleanup(w.client.Close)
	return w
}

func (w *world) write(secret string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(secret+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newKeys() *Keys {
	w.t.Helper()
	k, err := NewKeys(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) address() string { return w.server.Listener.Addr().String() }

func (w *world) request(asks ...Ask) *Request { return &Request{Epoch: "e1", Seq: 10, Asks: asks} }

func (w *world) ask(q *Request) (uint64, []Answer, error) {
	return w.client.Ask(w.t.Context(), w.address(), q)
}

func someBar(rnd *rand.Rand, tf market.Timeframe, i int64) market.Bar {
	start := 1_709_596_800_000 + i*tf.Millis()
	b := market.Bar{Timeframe: tf, StartMs: start, EndMs: start + tf.Millis(), Open: rnd.Int64N(1 << 40), High: rnd.Int64(), Low: -rnd.Int64(), Close: rnd.Int64N(1 << 40),
		N: rnd.Int64N(1000), Volume: market.Int128{Hi: int64(rnd.Uint64()) >> rnd.IntN(64), Lo: rnd.Uint64()}, PriceScale: uint8(rnd.IntN(19)), VolumeScale: uint8(rnd.IntN(19))}
	if rnd.IntN(3) == 0 {
		b.EndMs -= 1000
		b.HasVWAP, b.VWAP = true, rnd.Int64()
	}
	if rnd.IntN(3) == 0 {
		b.Rev, b.Flags = rnd.Uint32(), market.Partial
	}
	return b
}

// TestAsk: what a pod reads of another is what that one's rings have.
func TestAsk(t *testing.T) {
	w := newWorld(t)
	queries := []ring.Query{{}, {Limit: 7}, {Limit: 5, BeforeMs: 1_709_596_800_000 + 600_000}, {HasAfter: true, AfterSeq: 28_493_290, Limit: 9, Oldest: true}, {HasAfter: true, AfterSeq: 28_493_500}}
	var asks []Ask
	for _, q := range queries {
		asks = append(asks, Ask{"a", market.M1, q})
	}
	asks = append(asks, Ask{"B", market.M5, ring.Query{}}, Ask{"C", market.M1, ring.Query{}}, Ask{"nobody", market.M1, ring.Query{}}, Ask{"A", market.H1, ring.Query{}})
	applied, got, err := w.ask(w.request(asks...))
	if err != nil || applied != 10 {
		t.Fatal(applied, err)
	}
	for i, q := range queries {
		want, info := w.rings.Read(0, market.M1, q, nil)
		bars, err := DecodeBars(nil, got[i].Data, got[i].Count, market.M1)
		if err != nil || !slices.Equal(bars, want) || got[i].Info != info || len(want) == 0 {
			t.Errorf("%+v: %d bars, %+v, %v; want %d, %+v", q, len(bars), got[i].Info, err, len(want), info)
		}
	}
	if a := got[len(queries)]; a.State != Here || a.Count != 0 || a.Len != 0 {
		t.Errorf("an empty ring: %+v", a)
	}
	for _, a := range got[len(queries)+1:] {
		if a.State != Lacks {
			t.Errorf("a ring that it lacks: %+v", a)
		}
	}
	again := asks[1]
	again.Unless = got[1].Version
	if _, got, err = w.ask(w.request(again)); err != nil || !got[0].Same || got[0].Count != 0 || got[0].Version != again.Unless {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestNotApplied: a pod that has not applied the position says so, and answers once it has.
func TestNotApplied(t *testing.T) {
	w := newWorld(t)
	q := w.request(Ask{Symbol: "A", Timeframe: market.M1})
	q.Seq = 11
	time.AfterFunc(50*time.Millisecond, func() { w.rings.SetApplied(12) })
	if applied, _, err := w.ask(q); err != nil || applied != 12 {
		t.Errorf("%d %v", applied, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := NewServer(ServerOptions{Rings: w.rings, Symbols: &w.symbols, Epoch: "e1", Tag: func(uint64) uint32 { return 0 }})
	q.Seq = 13
	if _, e := s.answer(ctx, q); e == nil || e.Code != http.StatusServiceUnavailable {
		t.Errorf("%v", e)
	}
}

// TestOtherLog: bars of another log are not given, nor of the same one as it was before a rewind.
func TestOtherLog(t *testing.T) {
	w := newWorld(t)
	q := w.request(Ask{Symbol: "A", Timeframe: market.M1})
	q.Epoch = "e2"
	if _, _, err := w.ask(q); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("another epoch: %v", err)
	}
	q.Epoch, q.Tag = "e1", 5
	w.tag.Store(6)
	if _, _, err := w.ask(q); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("another frame at the position: %v", err)
	}
	w.tag.Store(5)
	if _, _, err := w.ask(q); err != nil {
		t.Error(err)
	}
}

// TestRefused: what is not signed with the backbone's credential is refused, and so is what was
// signed for something else, long ago, or seen before.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.ask(w.request(Ask{Symbol: "A", Timeframe: market.M1})); err != nil {
		t.Fatal(err)
	}
	good, body := w.last, w.body
	send := func(what string, want int, change func(r *http.Request) string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, w.server.URL+Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		text := change(r)
		r.Body = io.NopCloser(strings.NewReader(text))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d: %s", what, res.Status, want, answer)
		}
	}
	k := w.newKeys().keys[0]
	signed := func(r *http.Request, at time.Time, text string) string {
		k.sign(r, at, []byte(text))
		return text
	}
	send("as a pod does", 200, func(r *http.Request) string { return signed(r, time.Now(), string(body)) })
	send("without a signature", 401, func(*http.Request) string { return string(body) })
	send("again", 401, func(r *http.Request) string {
		r.Header = good.Header
		return string(body)
	})
	send("another body", 401, func(r *http.Request) string {
		signed(r, time.Now(), string(body))
		return string(body) + "x"
	})
	send("another path", 401, func(r *http.Request) string {
		path := r.URL.Path
		r.URL.Path = "/other"
		signed(r, time.Now(), string(body))
		r.URL.Path = path
		return string(body)
	})
	send("old", 401, func(r *http.Request) string { return signed(r, time.Now().Add(-window-time.Second), string(body)) })
	send("of the future", 401, func(r *http.Request) string { return signed(r, time.Now().Add(window+time.Second), string(body)) })
	send("too long", 413, func(r *http.Request) string { return signed(r, time.Now(), strings.Repeat("x", maxBody+1)) })
	send("not understood", 400, func(r *http.Request) string { return signed(r, time.Now(), "\x02") })
	other := w.newKeys()
	other.keys = []key{{1, 2, 3}}
	if _, _, err := NewClient(other).Ask(t.Context(), w.address(), w.request()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("another credential: %v", err)
	}
}

// TestCredentialChanges: the last two values are good, whoever of two pods reads the new one first.
func TestCredentialChanges(t *testing.T) {
	w := newWorld(t)
	q := w.request(Ask{Symbol: "A", Timeframe: market.M1})
	works := func(what string, client *Keys, want bool) {
		t.Helper()
		if _, _, err := NewClient(client).Ask(t.Context(), w.address(), q); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	look := func(k *Keys) {
		k.mu.Lock()
		k.looked = time.Time{}
		k.mu.Unlock()
		k.all()
	}
	old, once := w.newKeys(), w.newKeys()
	w.write("two")
	look(once)
	works("the asker has read it, the asked not yet", once, true)
	look(w.keys)
	works("both have", once, true)
	works("the asker has not yet", old, true)
	w.write("three")
	look(w.keys)
	old.looked = time.Now().Add(time.Hour)
	works("one that is two behind", old, false)
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	look(w.keys)
	look(once)
	works("the file is away for a moment", once, true)
}

// TestCutShort: an answer of which the end is missing, or that somebody changed, is none.
func TestCutShort(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.ask(w.request(Ask{Symbol: "A", Timeframe: market.M1}))
	if err != nil {
		t.Fatal(err)
	}
	inner := w.server.Config.Handler
	for what, change := range map[string]func([]byte) []byte{"cut": func(b []byte) []byte { return b[:len(b)-40] }, "short": func(b []byte) []byte { return b[:3] },
		"changed": func(b []byte) []byte { b[20]++; return b }} {
		w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			inner.ServeHTTP(rec, r)
			_, _ = rw.Write(change(rec.Body.Bytes()))
		})
		if _, _, err := w.ask(w.request(Ask{Symbol: "A", Timeframe: market.M1})); err == nil || !strings.Contains(err.Error(), "seal") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestHangs: a pod that takes connections and answers nothing is given up, and left alone for a moment.
func TestHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	w := newWorld(t)
	w.client.http.Transport.(*http.Transport).ResponseHeaderTimeout = 20 * time.Millisecond
	q := w.request(Ask{Symbol: "A", Timeframe: market.M1})
	for _, want := range []string{"awaiting", "alone"} {
		if _, _, err := w.client.Ask(t.Context(), l.Addr().String(), q); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, _, err := w.ask(q); err != nil {
		t.Errorf("another pod: %v", err)
	}
	w.client.until[l.Addr().String()] = time.Now()
	if _, _, err := w.client.Ask(t.Context(), l.Addr().String(), q); err == nil || !strings.Contains(err.Error(), "awaiting") {
		t.Errorf("it is not asked again: %v", err)
	}
}

// TestLater: what does not fit one response is put off, and never all of it.
func TestLater(t *testing.T) {
	w := newWorld(t)
	var asks []Ask
	for range MaxAsks {
		asks = append(asks, Ask{Symbol: "A", Timeframe: market.M1})
	}
	for seen := 0; len(asks) > 0; seen++ {
		_, got, err := w.ask(w.request(asks...))
		if err != nil || got[0].State != Here {
			t.Fatal(seen, err)
		}
		n := slices.IndexFunc(got, func(a Answer) bool { return a.State == Later })
		if n < 0 {
			n = len(got)
		}
		if size := n * len(got[0].Data); size > softAnswer+1<<20 {
			t.Errorf("%d bytes", size)
		}
		asks = asks[n:]
		if len(asks) == 0 && seen == 0 {
			t.Error("all of it fits: the test tests nothing")
		}
	}
	if _, _, err := w.ask(w.request(make([]Ask, MaxAsks+1)...)); err == nil {
		t.Error("more asks than a request may have were sent")
	}
}

// FuzzDecode: whatever comes, a decoder returns, and what it takes is bounded by what came.
func FuzzDecode(f *testing.F) {
	rnd := rand.New(rand.NewPCG(2, 2))
	q := &Request{Epoch: "e1", Seq: 5, Tag: 7, Asks: []Ask{{"A", market.M1, ring.Query{Limit: 3, HasAfter: true, AfterSeq: -5}}}}
	f.Add(q.append(nil))
	bars := []market.Bar{someBar(rnd, market.M1, 1), someBar(rnd, market.M1, 3)}
	f.Add(appendAnswer([]byte{version, 9}, bars, ring.Info{Len: 2}, false))
	f.Fuzz(func(t *testing.T, data []byte) {
		if q, err := decodeRequest(data); err == nil {
			if again, err := decodeRequest(q.append(nil)); err != nil || len(again.Asks) != len(q.Asks) {
				t.Errorf("%v", err)
			}
		}
		asks := []Ask{{"A", market.M1, ring.Query{}}, {"B", market.M5, ring.Query{}}}
		for n := range 3 {
			_, out, err := decodeAnswers(data, asks[:n])
			for i := range out {
				if err == nil && out[i].State == Here {
					if bars, err := DecodeBars(nil, out[i].Data, out[i].Count, asks[i].Timeframe); err != nil || len(bars) != out[i].Count {
						t.Errorf("%d bars of %d: %v", len(bars), out[i].Count, err)
					}
				}
			}
		}
	})
}
