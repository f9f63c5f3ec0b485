package crdtest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"sigs.k8s.io/yaml"
)

func minimal() map[string]any {
	return map[string]any{
		"apiVersion": "marketstream.dev/v1alpha1", "kind": "MarketStream",
		"metadata": map[string]any{"name": "demo"},
		"spec":     map[string]any{"symbols": []any{"SPY", "QQQ"}, "feed": map[string]any{"synthetic": map[string]any{}}},
	}
}

// with is the minimal document with values put at dotted paths (each value YAML); nil: removed.
func with(t *testing.T, changes ...string) map[string]any {
	t.Helper()
	obj := minimal()
	for i := 0; i < len(changes); i += 2 {
		at := obj
		parts := strings.Split(changes[i], ".")
		for _, p := range parts[:len(parts)-1] {
			next, ok := at[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[p] = next
			}
			at = next
		}
		var v any
		if err := yaml.Unmarshal([]byte(changes[i+1]), &v); err != nil {
			t.Fatal(err)
		}
		at[parts[len(parts)-1]] = v
	}
	// As the API server has it: numbers are int64 or float64.
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return whole(out).(map[string]any)
}

// whole makes whole numbers int64, as the API server's decoder does.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

const polygon = "{polygon: {apiKeySecretRef: {name: polygon, key: apiKey}}}"

// cases are documents and whether they are good. CRD and Validate must both say so.
var cases = []struct {
	name string
	good bool
	set  []string
}{
	{"minimal", true, nil},
	{"name of 40", true, []string{"metadata.name", strings.Repeat("a", 40)}},
	{"name of 41", false, []string{"metadata.name", strings.Repeat("a", 41)}},
	{"name that begins with a digit", false, []string{"metadata.name", "1a"}},
	{"name with a dot", false, []string{"metadata.name", "a.b"}},
	{"name that ends in a dash", false, []string{"metadata.name", "a-"}},

	{"no symbols", false, []string{"spec.symbols", "[]"}},
	{"an empty symbol", false, []string{"spec.symbols", "['']"}},
	{"a symbol of 32", true, []string{"spec.symbols", "[" + strings.Repeat("A", 32) + "]"}},
	{"a symbol of 33", false, []string{"spec.symbols", "[" + strings.Repeat("A", 33) + "]"}},
	{"a symbol with a comma", false, []string{"spec.symbols", "['A,B']"}},
	{"a symbol with a space", false, []string{"spec.symbols", "['A B']"}},
	{"crypto and share classes", true, []string{"spec.symbols", "[BTC-USD, BTC/USD, 'X:BTCUSD', BRK.B, BACpB]"}},
	{"a symbol twice", false, []string{"spec.symbols", "[SPY, SPY]"}},
	{"a symbol twice but for case", false, []string{"spec.symbols", "[BACpB, BACPB]"}},

	{"timeframes", true, []string{"spec.timeframes", "[1m, 1h, 1d]"}},
	{"unknown timeframe", false, []string{"spec.timeframes", "[7m]"}},
	{"timeframe twice", false, []string{"spec.timeframes", "[5m, 5m]"}},
	{"no shards", true, []string{"spec.shards", "0"}},
	{"shards below", false, []string{"spec.shards", "-1"}},
	{"most shards", true, []string{"spec.shards", "256"}},
	{"too many shards", false, []string{"spec.shards", "257"}},

	{"no feed", false, []string{"spec.feed", "{}"}},
	{"two feeds", false, []string{"spec.feed", "{synthetic: {}, replay: {path: a}}"}},
	{"polygon", true, []string{"spec.feed", polygon}},
	{"polygon without a key", false, []string{"spec.feed", "{polygon: {}}"}},
	{"polygon's market", false, []string{"spec.feed", polygon, "spec.feed.polygon.market", "Bonds"}},
	{"alpaca", true, []string{"spec.feed", "{alpaca: {feed: SIP, keySecretRef: {name: a}}}"}},
	{"alpaca's feed", false, []string{"spec.feed", "{alpaca: {feed: sip, keySecretRef: {name: a}}}"}},
	{"coinbase", true, []string{"spec.feed", "{coinbase: {}}"}},
	{"kraken", true, []string{"spec.feed", "{kraken: {connections: 2}}"}},
	{"connections", false, []string{"spec.feed", "{kraken: {connections: 0}}"}},
	{"binance's venue", false, []string{"spec.feed", "{binance: {venue: Mars}}"}},
	{"endpoint", true, []string{"spec.feed", "{kraken: {endpoint: 'wss://example.com/v2'}}"}},
	{"endpoint's scheme", false, []string{"spec.feed", "{kraken: {endpoint: 'https://example.com'}}"}},
	{"endpoint with user info", false, []string{"spec.feed", "{kraken: {endpoint: 'wss://a:b@example.com'}}"}},
	{"REST endpoint's scheme", false, []string{"spec.feed", "{kraken: {restEndpoint: 'wss://example.com'}}"}},
	{"endpoint of 513", false, []string{"spec.feed", "{kraken: {endpoint: 'wss://" + strings.Repeat("a", 507) + "'}}"}},
	{"replay", true, []string{"spec.feed", "{replay: {path: trades, speed: Max, loop: Forever, rebase: Keep}}"}},
	{"replay without a path", false, []string{"spec.feed", "{replay: {}}"}},
	{"replay of two volumes", false, []string{"spec.feed", "{replay: {path: a, volume: {claimName: b}, configMap: {name: c}}}"}},
	{"speed", true, []string{"spec.feed", "{synthetic: {speed: '2.5'}}"}},
	{"speed in words", false, []string{"spec.feed", "{synthetic: {speed: fast}}"}},
	{"speed of nothing", false, []string{"spec.feed", "{synthetic: {speed: '0'}}"}},
	{"speed beyond", false, []string{"spec.feed", "{synthetic: {speed: '1000001'}}"}},
	{"rate of nothing", false, []string{"spec.feed", "{synthetic: {ticksPerSecond: 0}}"}},
	{"rate beyond", false, []string{"spec.feed", "{synthetic: {ticksPerSecond: 10001}}"}},
	{"replay at no speed", false, []string{"spec.feed", "{replay: {path: a, speed: '0'}}"}},
	{"loop", false, []string{"spec.feed", "{replay: {path: a, loop: Once}}"}},

	{"calendar", false, []string{"spec.bars.session.calendar", "LSE"}},
	{"hours", false, []string{"spec.bars.session.hours", "Night"}},
	{"anchor", false, []string{"spec.bars.anchor", "Moon"}},
	{"no grace", true, []string{"spec.bars.closeGrace", "0s"}},
	{"grace beyond", false, []string{"spec.bars.closeGrace", "61s"}},
	{"grace without a unit", false, []string{"spec.bars.closeGrace", "'2'"}},
	{"a negative grace", false, []string{"spec.bars.closeGrace", "-2s"}},
	{"revision window", true, []string{"spec.bars.revisionWindow", "1h"}},
	{"revision window beyond", false, []string{"spec.bars.revisionWindow", "61m"}},

	{"buffer", false, []string{"spec.stream.bufferCapacity", "0"}},
	{"buffer beyond", false, []string{"spec.stream.bufferCapacity", "100001"}},
	{"ticks", false, []string{"spec.stream.ticks", "'On'"}},
	{"beat", true, []string{"spec.stream.microbarInterval", "50ms"}},
	{"beat too fast", false, []string{"spec.stream.microbarInterval", "49ms"}},
	{"beat too slow", false, []string{"spec.stream.microbarInterval", "11s"}},
	{"flush, heartbeat and idle", true, []string{"spec.stream.flushInterval", "10s", "spec.stream.heartbeatInterval", "1s", "spec.stream.idleAfter", "24h"}},
	{"flush too fast", false, []string{"spec.stream.flushInterval", "1ms"}},
	{"heartbeat too slow", false, []string{"spec.stream.heartbeatInterval", "61s"}},
	{"idle too soon", false, []string{"spec.stream.idleAfter", "9s"}},
	{"seed of none", true, []string{"spec.stream.seedBars", "0"}},
	{"seed beyond", false, []string{"spec.stream.seedBars", "5001"}},
	{"connections of a pod", false, []string{"spec.stream.maxConnections", "0"}},
	{"symbols of a connection", false, []string{"spec.stream.maxSymbolsPerConnection", "20001"}},
	{"ring", false, []string{"spec.history.ringCapacity", "0"}},
	{"upstream", false, []string{"spec.history.upstream", "Maybe"}},

	{"origins", true, []string{"spec.access.allowedOrigins", "['https://a.example.com', 'http://localhost:5173']"}},
	{"origin with a path", false, []string{"spec.access.allowedOrigins", "['https://a.example.com/']"}},
	{"any origin", false, []string{"spec.access.allowedOrigins", "['*']"}},
	{"origin twice", false, []string{"spec.access.allowedOrigins", "['https://a', 'https://a']"}},
	{"proxies", true, []string{"spec.access.trustedProxies", "[10.0.0.0/8, 'fd00::/8']"}},
	{"proxy that is no CIDR", false, []string{"spec.access.trustedProxies", "[10.0.0.1]"}},
	{"auth of nothing", false, []string{"spec.access.auth", "{}"}},
	{"auth of both", false, []string{"spec.access.auth", "{pin: {secretRef: {name: a, key: b}}, jwt: {issuer: a, jwksURL: 'https://a'}}"}},
	{"pin", true, []string{"spec.access.auth", "{pin: {secretRef: {name: a, key: b}}}"}},
	{"keys over http", false, []string{"spec.access.auth", "{jwt: {issuer: a, jwksURL: 'http://a'}}"}},
	{"algorithm", false, []string{"spec.access.auth", "{jwt: {issuer: a, jwksURL: 'https://a', algorithms: [none]}}"}},

	{"service type", false, []string{"spec.service.type", "ExternalName"}},
	{"ingress without a host", false, []string{"spec.ingress", "{}"}},
	{"gateway without a parent", false, []string{"spec.gateway", "{parentRefs: []}"}},
	{"two servers", false, []string{"spec.backbone.replicas", "2"}},
	{"three servers", true, []string{"spec.backbone.replicas", "3"}},
	{"short retention", false, []string{"spec.backbone.retention", "47h"}},
	{"retention", true, []string{"spec.backbone.retention", "48h"}},
	{"no size", false, []string{"spec.backbone.storage.size", "'0'"}},
	{"a size that does not do", false, []string{"spec.backbone.storage.size", "1023Mi"}},
	{"the least size", true, []string{"spec.backbone.storage.size", "1Gi"}},
	{"external with servers", false, []string{"spec.backbone", "{external: {url: 'nats://a'}, replicas: 1}"}},
	{"external with user info", false, []string{"spec.backbone", "{external: {url: 'nats://a:b@c'}}"}},
	{"external's prefix", false, []string{"spec.backbone", "{external: {url: 'nats://a', prefix: 'a.b'}}"}},
	{"network policy", false, []string{"spec.networkPolicy.mode", "'Off'"}},
	{"egress by CIDR", true, []string{"spec.networkPolicy.extraEgress", "[{cidr: 10.0.0.0/8, port: 443}, {cidr: 'fd00::/8'}]"}},
	{"egress", false, []string{"spec.networkPolicy.extraEgress", "[{cidr: here}]"}},
	{"egress port", false, []string{"spec.networkPolicy.extraEgress", "[{cidr: 10.0.0.0/8, port: 0}]"}},
	{"service monitor", false, []string{"spec.monitoring.serviceMonitor", "Yes!"}},
	{"scrape", true, []string{"spec.monitoring.interval", "5s"}},
	{"scrape too often", false, []string{"spec.monitoring.interval", "1s"}},
	{"updates", false, []string{"spec.pod.updates", "Never"}},
	{"pull secrets", false, []string{"spec.pod.imagePullSecrets", "[{name: a}, {name: b}, {name: c}]"}},
	{"env without a name", false, []string{"spec.pod.env", "[{value: a}]"}},
	{"env twice", false, []string{"spec.pod.env", "[{name: A}, {name: A}]"}},
	{"override", true, []string{"spec.overrides", "[{symbols: [spy], ticks: Enabled}]"}},
	{"override of a symbol not carried", true, []string{"spec.overrides", "[{symbols: [IBM], ticks: Enabled}]"}},
	{"override of nothing", false, []string{"spec.overrides", "[{symbols: [], ticks: Enabled}]"}},
	{"override's buffer", false, []string{"spec.overrides", "[{symbols: [SPY], bufferCapacity: 0}]"}},
}

// TestCRDAndValidateAgree runs every case past the API server's code and past ours.
func TestCRDAndValidateAgree(t *testing.T) {
	s := newServer(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if g := gaps[c.name]; g != "" {
				t.Skip("known gap:", g)
			}
			obj := with(t, c.set...)
			crd, _ := s.refuse(obj, nil)
			if c.good != (len(crd) == 0) {
				t.Errorf("CRD: good is %v, it says: %v", c.good, crd.ToAggregate())
			}
			text, err := json.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			ms, err := v1alpha1.Decode(text)
			if err != nil {
				t.Fatalf("Decode: %v", err) // every case is of the right types
			}
			if ours := v1alpha1.Validate(ms); c.good != (len(ours) == 0) {
				t.Errorf("Validate: good is %v, it says: %v", c.good, ours.ToAggregate())
			}
		})
	}
}

const (
	synthetic = "{synthetic: {}}"
	replay    = "{replay: {path: a}}"
	external  = "{external: {url: 'nats://a'}}"
)

// updates are changes of a field, and whether they may be.
var updates = []struct {
	name, path, from, to string
	good                 bool
}{
	{"seed", "spec.feed", synthetic, "{synthetic: {seed: 2}}", true},
	{"vendor to vendor", "spec.feed", polygon, "{coinbase: {}}", true},
	{"invented to vendor", "spec.feed", synthetic, polygon, false},
	{"vendor to invented", "spec.feed", polygon, synthetic, false},
	{"replayed to vendor", "spec.feed", replay, polygon, false},
	{"vendor to replayed", "spec.feed", polygon, replay, false},
	{"invented to replayed", "spec.feed", synthetic, replay, false},
	{"storage grows", "spec.backbone", "{}", "{storage: {size: 20Gi}}", true},
	{"storage shrinks", "spec.backbone", "{}", "{storage: {size: 5Gi}}", false},
	{"storage class", "spec.backbone", "{storage: {className: a}}", "{storage: {className: b}}", false},
	{"to an external backbone", "spec.backbone", "{}", external, false},
	{"from an external backbone", "spec.backbone", external, "{}", false},
	{"more servers", "spec.backbone", "{replicas: 1}", "{replicas: 3}", true},
}

// TestUpdates holds the rules about what may not change.
func TestUpdates(t *testing.T) {
	s := newServer(t)
	for _, c := range updates {
		t.Run(c.name, func(t *testing.T) {
			if g := gaps[c.name]; g != "" {
				t.Skip("known gap:", g)
			}
			errs, _ := s.refuse(with(t, c.path, c.to), with(t, c.path, c.from))
			if c.good != (len(errs) == 0) {
				t.Errorf("good is %v, the CRD says: %v", c.good, errs.ToAggregate())
			}
		})
	}
}
