package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/alpaca/alpacatest"
	"github.com/marketstream/marketstream/streamer/feed/polygon/polygontest"
	"github.com/marketstream/marketstream/streamer/feed/vendortest"
)

// keyed is a scripted vendor with a key, as TestKeyChanges needs it.
type keyed struct {
	feed   string // of the document
	secret map[string]string
	change func() map[string]string // has the vendor want another key, and returns it
	make   func(n int, how vendortest.How, skip bool) error
	blab   func() // has the vendor say the key
	auths  func() int
	trades func() []vendortest.Trade
}

func massive(t *testing.T) *keyed {
	v, err := polygontest.Start(polygontest.Options{Key: "m4ssive-key-one", Symbols: []string{"AAPL"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	v.LimitConnections(1, polygontest.LimitHow{})
	return &keyed{
		feed:   fmt.Sprintf("polygon: {endpoint: %q, restEndpoint: %q, apiKeySecretRef: {name: vendor, key: apiKey}}", v.URL(), v.RESTURL()),
		secret: map[string]string{"apiKey": "m4ssive-key-one"},
		change: func() map[string]string {
			v.SetKey("m4ssive-key-two")
			return map[string]string{"apiKey": "m4ssive-key-two\n"}
		},
		make: func(n int, how vendortest.How, skip bool) error {
			_, err := v.Trade("AAPL", n, how, polygontest.Fault{Skip: skip})
			return err
		},
		blab: func() {
			v.Status("error", "who is m4ssive-key-one?")
			v.REST(vendortest.RESTFault{Times: 2, Status: 500, Body: "m4ssive-key-two is a nice key"})
		},
		auths:  func() int { return v.Stats().Auths },
		trades: func() []vendortest.Trade { return v.Trades("AAPL", 0, 1<<62) },
	}
}

func alpaca(t *testing.T) *keyed {
	v, err := alpacatest.Start(alpacatest.Options{KeyID: "4lpaca-id-one", Secret: "4lpaca-secret-one", Symbols: []string{"AAPL"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return &keyed{
		feed:   fmt.Sprintf("alpaca: {endpoint: %q, restEndpoint: %q, keySecretRef: {name: vendor}}", v.URL(), v.RESTURL()),
		secret: map[string]string{"keyID": "4lpaca-id-one", "secretKey": "4lpaca-secret-one"},
		change: func() map[string]string {
			v.SetKey("4lpaca-id-two", "4lpaca-secret-two")
			return map[string]string{"keyID": "4lpaca-id-two", "secretKey": "4lpaca-secret-two"}
		},
		make: func(n int, how vendortest.How, skip bool) error {
			_, err := v.Trade("AAPL", n, how, alpacatest.Fault{Skip: skip})
			return err
		},
		blab: func() {
			v.Error(403, "4lpaca-secret-one is authenticated already")
			v.REST(vendortest.RESTFault{Times: 2, Status: 500, Body: "4lpaca-secret-two is a nice secret"})
		},
		auths:  func() int { return v.Stats().Auths },
		trades: func() []vendortest.Trade { return v.Trades("AAPL", 0, 1<<62) },
	}
}

// TestKeyChanges: a key that changes in its files has the feed connect once more; what was traded meanwhile is fetched, and no bar
// lacks anything. Nothing that the process prints, tells or writes has a key in it, though the vendor says them.
func TestKeyChanges(t *testing.T) {
	for name, vendor := range map[string]func(*testing.T) *keyed{"polygon": massive, "alpaca": alpaca} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := vendor(t)
			dir, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
			secrets := filepath.Join(dir, "secrets")
			keys := []string{}
			give := func(files map[string]string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Join(secrets, "vendor"), 0o700); err != nil {
					t.Fatal(err)
				}
				for file, text := range files {
					keys = append(keys, strings.TrimSpace(text))
					put(t, filepath.Join(secrets, "vendor", file), text)
				}
			}
			give(v.secret)
			doc := filepath.Join(dir, "stream.yaml")
			put(t, doc, "apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: keys}\nspec:\n  symbols: [AAPL]\n"+
				"  bars: {session: {calendar: AlwaysOpen}}\n  history: {upstream: Disabled}\n  feed: {"+v.feed+"}\n")
			p := start(t, doc, "--secrets", secrets, "--data", data, "--log-level", "debug", "--log-format", "json")
			status := func() (s struct{ State, Reason string }) {
				if err := json.Unmarshal(p.get(p.url, "/api/market/status", 200), &s); err != nil {
					t.Fatal(err)
				}
				return s
			}
			eventually(t, "it is connected", func() bool { return status().State == "connected" })

			// All of this was traded ten minutes ago and is said now, so that minutes pass fast.
			minute := time.Now().Add(-10 * time.Minute).Truncate(time.Minute)
			made := func(n int, after time.Duration, skip bool) {
				t.Helper()
				if err := v.make(n, vendortest.How{At: minute.Add(after).UnixNano()}, skip); err != nil {
					t.Fatal(err)
				}
			}
			made(5, time.Second, false)
			eventually(t, "trades have come", func() bool {
				return strings.Contains(string(p.get(p.internal, "/metrics", 200)), "feed_ticks_total 5\n")
			})
			give(v.change())
			v.blab()
			made(5, 20*time.Second, true) // nobody says these
			eventually(t, "it has connected with the new key", func() bool { return v.auths() >= 2 && status().State == "connected" })
			made(5, 40*time.Second, false)
			last := 2 * time.Minute
			want := 0
			for _, x := range v.trades() {
				if x.SentNs < minute.Add(time.Minute).UnixNano() {
					want++
				}
			}
			eventually(t, "the bar has all of it", func() bool {
				last += 50 * time.Millisecond
				made(1, last, false)
				var bars []bar
				if err := json.Unmarshal(p.get(p.url, "/api/history?symbol=AAPL&timeframe=1m&limit=10", 200), &bars); err != nil {
					t.Fatal(err)
				}
				for _, b := range bars {
					if b.Start == minute.UnixMilli() {
						return b.N == int64(want) && !b.Partial
					}
				}
				return false
			})
			if n := v.auths(); n != 2 {
				t.Errorf("%d connections asked with a key, want 2", n)
			}
			told := p.text() + string(p.get(p.internal, "/status", 200)) + string(p.get(p.internal, "/metrics", 200)) + string(p.get(p.url, "/api/market/status", 200))
			p.stop()
			told += p.text()
			err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				told += string(text)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			for _, key := range keys {
				if i := strings.Index(told, key); i >= 0 {
					t.Errorf("a key is told: …%q…", told[max(i-200, 0):min(i+len(key)+20, len(told))])
				}
			}
			if !strings.Contains(told, "a nice") {
				t.Error("the vendor did not say the key in an error: the test looks for nothing")
			}
		})
	}
}
