package v1alpha1_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"sigs.k8s.io/yaml"
)

const head = "apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: demo}\n"
const good = head + "spec: {symbols: [SPY], feed: {synthetic: {}}}\n"

// TestDecodeSays: each error names the path, the value, and what would be right.
func TestDecodeSays(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      []string
	}{
		{"good", good, nil},
		{"comments and an end", "# a\n---\n" + good + "...\n", nil},
		{"misspelled", head + "spec: {symbols: [A], feed: {synthetic: {}}, stream: {bufferCap: 5}}", []string{"spec.stream.bufferCap", "5", "did you mean \"bufferCapacity\""}},
		{"at the top", good + "sepc: {}\n", []string{"sepc", `"spec"`}},
		{"number for text", head + "spec: {symbols: [A], feed: {synthetic: {speed: 1}}}", []string{"spec.feed.synthetic.speed", `"1"`, "quotes"}},
		{"text for number", head + "spec: {symbols: [A], feed: {synthetic: {}}, stream: {bufferCapacity: many}}", []string{"spec.stream.bufferCapacity", "many", "whole number"}},
		{"fraction", head + "spec: {symbols: [A], feed: {synthetic: {}}, shards: 1.5}", []string{"spec.shards", "1.5", "whole number"}},
		{"a symbol that YAML reads as true", head + "spec: {symbols: [SPY, ON], feed: {synthetic: {}}}", []string{"spec.symbols[1]", "true", "quotes"}},
		{"text for a list", head + "spec: {symbols: SPY, feed: {synthetic: {}}}", []string{"spec.symbols", "SPY", "list"}},
		{"null in a list", head + "spec: {symbols: [null], feed: {synthetic: {}}}", []string{"spec.symbols[0]", "null"}},
		{"two at once", head + "spec: {symbols: SPY, feed: {sintetic: {}}}", []string{"spec.symbols", "spec.feed.sintetic", "\n", "synthetic"}},
		{"twice", head + "spec: {symbols: [A], symbols: [B], feed: {synthetic: {}}}", []string{"symbols"}},
		{"two documents", good + "---\n" + good, []string{"one YAML document", "2"}},
		{"none", "", []string{"one YAML document", "0"}},
		{"another kind", strings.Replace(good, "MarketStream", "Deployment", 1), []string{"Deployment", "MarketStream"}},
		{"another version", strings.Replace(good, "v1alpha1", "v1", 1), []string{"v1alpha1"}},
		{"not YAML", "a: [", []string{"YAML"}},
		{"a list", "[1]", []string{"mapping"}},
		{"bad quantity", head + "spec: {symbols: [A], feed: {synthetic: {}}, backbone: {storage: {size: big}}}", []string{"spec.backbone.storage.size", "big", "want a quantity, as"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v1alpha1.Decode([]byte(c.doc))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

// TestAllMistakes: a document's mistakes are told all at once, a line for each, whatever kind they are.
func TestAllMistakes(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      []string // how the lines begin
	}{
		{"of every kind", head + `spec:
  symbols: [SPY, ON, spy]
  timeframes: [1m, 7m]
  feed: {synthetic: {ticksPerSecond: many, speeed: 5}}
  history: {ringCapacity: 0}
  stream: {ticks: Enabled, ticks: Disabled, seedBars: 9999, heartbeatInterval: soon}
  backbone: {storage: {size: big}, retention: 1h}
  access: {tlsSecretName: tls}
`, []string{
			`spec.access.tlsSecretName: not available yet`,
			`line 9: "ticks" stands twice`,
			`spec.backbone.storage.size: Invalid value: "big": want a quantity`,
			`spec.feed.synthetic.speeed: Invalid value: "5": there is no such field; did you mean "speed"?`,
			`spec.feed.synthetic.ticksPerSecond: Invalid value: "many": want a whole number`,
			`spec.symbols[1]: Invalid value: "true": want text; put it in quotes`,
			`spec.symbols[2]: Invalid value: "spy": the same as spec.symbols[0]`,
			`spec.timeframes[1]: Unsupported value: "7m": supported values: "1m"`,
			`spec.stream.heartbeatInterval: Invalid value: "soon": want a length of time`,
			`spec.stream.seedBars: Invalid value: 9999: want 0 to 5000`,
			`spec.history.ringCapacity: Invalid value: 0: want 1 to 100000`,
			`spec.backbone.retention: Invalid value: "1h": want a length of time from 48h`,
		}},
		{"what a wrong field would have been is not missed", head + "spec: {symbols: SPY, feed: {sintetic: {}}}\n", []string{
			`spec.feed.sintetic: Invalid value`, `spec.symbols: Invalid value: "SPY": want a list`}},
		{"two feeds", head + "spec: {symbols: [A], feed: {synthetic: {}, replay: {path: a.csv}}}\n", []string{
			`spec.feed: Invalid value: "replay and synthetic": name exactly one feed`}},
		{"no feed", head + "spec: {symbols: [A], feed: {}}\n", []string{`spec.feed: Required value: name exactly one feed`}},
		{"a feed to come", head + "spec: {symbols: [A, A], feed: {binance: {venue: Moon}}}\n", []string{
			`spec.feed.binance: not available yet; the feeds that run are alpaca, coinbase, polygon, replay, synthetic`,
			`spec.symbols[1]`, `spec.feed.binance.venue: Unsupported value`}},
		{"a feed without its key", head + "spec: {symbols: [A], feed: {alpaca: {feed: NYSE}}}\n", []string{
			`spec.feed.alpaca.feed: Unsupported value`, `spec.feed.alpaca.keySecretRef.name: Required value: name the Secret`}},
		{"another object", "kind: Pod\nspec: {containers: []}\n", []string{
			`apiVersion: Required value: want marketstream.dev/v1alpha1`, `kind: Invalid value: "Pod": want MarketStream`}},
		{"pin and jwt", head + "spec: {symbols: [A], feed: {synthetic: {}}, access: {auth: {pin: {secretRef: {name: a, key: b}}, jwt: {issuer: a, jwksURL: 'https://a'}}}}\n", []string{
			`spec.access.auth: not available yet`, `spec.access.auth: Invalid value: "pin and jwt"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := v1alpha1.DecodeRunnable([]byte(c.doc), v1alpha1.OneMachine)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			missed := 0
			for i := range max(len(got), len(c.want)) {
				if i >= len(got) || i >= len(c.want) || !strings.HasPrefix(got[i], c.want[i]) {
					missed++
				}
			}
			if missed > 0 {
				t.Errorf("it says\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
	if _, _, err := v1alpha1.DecodeRunnable([]byte(head+"spec: {feed: {synthetic: {}}, symbols: ["+strings.Repeat("' ',", 500)+"A]}"), v1alpha1.OneMachine); !strings.Contains(err.Error(), "more") || strings.Count(err.Error(), "\n") > 100 {
		t.Errorf("of a document that is wrong all over %d lines", strings.Count(err.Error(), "\n"))
	}
}

func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		ms, err := v1alpha1.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if errs := v1alpha1.Validate(ms); len(errs) > 0 {
			t.Errorf("%s: %v", f, errs.ToAggregate())
		}
		if _, err = v1alpha1.CheckRunnable(ms, v1alpha1.OneMachine); err != nil {
			t.Errorf("%s: run says %v", f, err)
		}
	}
}

// FuzzDecode: no panic, and what is accepted means what kubectl's decoder makes of it.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", good, "{}", "[]", "---\n---\n", head + "spec: {symbols: [ON, 1e3, ~]}", "a: &a [*a]", "\xff", head + "spec: {backbone: {storage: {size: -1}}}"} {
		f.Add([]byte(s))
	}
	files, _ := filepath.Glob("../../config/samples/*.yaml")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ms, err := v1alpha1.Decode(data)
		if err != nil {
			if ms != nil || err.Error() == "" {
				t.Fatalf("%v with %v", ms, err)
			}
			return
		}
		if wrong := v1alpha1.Validate(ms); len(wrong) == 0 {
			_, err = v1alpha1.CheckRunnable(ms, v1alpha1.OneMachine)
		} else {
			err = wrong.ToAggregate()
		}
		if _, _, runErr := v1alpha1.DecodeRunnable(data, v1alpha1.OneMachine); (err == nil) != (runErr == nil) {
			t.Fatalf("in parts %v, at once %v", err, runErr)
		}
		ms.Resolve()
		var theirs v1alpha1.MarketStream
		if err := yaml.UnmarshalStrict(data, &theirs); err != nil {
			t.Fatalf("kubectl would refuse it: %v", err)
		}
		if !reflect.DeepEqual(ms, &theirs) {
			t.Fatalf("kubectl would read %+v, not %+v", theirs, ms)
		}
	})
}
