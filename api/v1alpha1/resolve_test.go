package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

func resolve(t *testing.T, spec string) *v1alpha1.Resolved {
	t.Helper()
	if !strings.Contains(spec, "feed:") {
		spec = "feed: {synthetic: {}}, " + spec
	}
	ms, err := v1alpha1.Decode([]byte(head + "spec: {symbols: [SPY, BACpB], " + spec + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return ms.Resolve()
}

// TestResolve: for each field, what absence means, and that a value is kept.
func TestResolve(t *testing.T) {
	type R = *v1alpha1.Resolved
	const polygon, key = "feed: {polygon: {%sapiKeySecretRef: {name: a, key: b}}}", ""
	vendor := func(f string) string { return "feed: {" + f + "}" }
	for _, c := range []struct {
		name, spec string
		get        func(R) any
		want       any
	}{
		{"timeframes", "", func(r R) any { return r.Timeframes }, "[1m]"},
		{"timeframes kept", "timeframes: [1h, 5m]", func(r R) any { return r.Timeframes }, "[1m 5m 1h]"},
		{"shards", "", func(r R) any { return r.Shards }, 1},
		{"shards kept", "shards: 0", func(r R) any { return r.Shards }, 0},
		{"calendar", "", func(r R) any { return r.Calendar }, "AlwaysOpen"},
		{"calendar of stocks", fmt.Sprintf(polygon, key), func(r R) any { return r.Calendar }, "USEquities"},
		{"calendar of crypto", fmt.Sprintf(polygon, "market: Crypto, "), func(r R) any { return r.Calendar }, "AlwaysOpen"},
		{"calendar of IEX", vendor("alpaca: {keySecretRef: {name: a}}"), func(r R) any { return r.Calendar }, "USEquities"},
		{"calendar of Test", vendor("alpaca: {feed: Test, keySecretRef: {name: a}}"), func(r R) any { return r.Calendar }, "AlwaysOpen"},
		{"calendar kept", "bars: {session: {calendar: USEquities}}", func(r R) any { return r.Calendar }, "USEquities"},
		{"hours", "", func(r R) any { return r.Hours }, "Extended"},
		{"hours kept", "bars: {session: {hours: Regular}}", func(r R) any { return r.Hours }, "Regular"},
		{"anchor", "", func(r R) any { return r.Anchor }, "Clock"},
		{"anchor kept", "bars: {anchor: Session}", func(r R) any { return r.Anchor }, "Session"},
		{"grace", "", func(r R) any { return r.CloseGrace }, "2s"},
		{"grace of replay", vendor("replay: {path: a}"), func(r R) any { return r.CloseGrace }, "2s"},
		{"grace of coinbase", vendor("coinbase: {}"), func(r R) any { return r.CloseGrace }, "500ms"},
		{"grace of kraken", vendor("kraken: {}"), func(r R) any { return r.CloseGrace }, "500ms"},
		{"grace of binance", vendor("binance: {}"), func(r R) any { return r.CloseGrace }, "500ms"},
		{"grace of alpaca's crypto", vendor("alpaca: {feed: Crypto, keySecretRef: {name: a}}"), func(r R) any { return r.CloseGrace }, "500ms"},
		{"grace kept", vendor("kraken: {}") + ", bars: {closeGrace: 0s}", func(r R) any { return r.CloseGrace }, "0s"},
		{"window", "", func(r R) any { return r.RevisionWindow }, "15m0s"},
		{"window kept", "bars: {revisionWindow: 1m}", func(r R) any { return r.RevisionWindow }, "1m0s"},
		{"buffer", "", func(r R) any { return r.BufferCapacity }, 1000},
		{"buffer kept", "stream: {bufferCapacity: 7}", func(r R) any { return r.BufferCapacity }, 7},
		{"ticks", "", func(r R) any { return r.Ticks }, "Disabled"},
		{"ticks kept", "stream: {ticks: Conflated}", func(r R) any { return r.Ticks }, "Conflated"},
		{"microbars", "", func(r R) any { return r.MicrobarInterval }, "250ms"},
		{"microbars kept", "stream: {microbarInterval: 100ms}", func(r R) any { return r.MicrobarInterval }, "100ms"},
		{"flush", "", func(r R) any { return r.FlushInterval }, "50ms"},
		{"flush kept", "stream: {flushInterval: 100ms}", func(r R) any { return r.FlushInterval }, "100ms"},
		{"heartbeat", "", func(r R) any { return r.HeartbeatInterval }, "15s"},
		{"heartbeat kept", "stream: {heartbeatInterval: 1s}", func(r R) any { return r.HeartbeatInterval }, "1s"},
		{"idle", "", func(r R) any { return r.IdleAfter }, "5m0s"},
		{"idle kept", "stream: {idleAfter: 10s}", func(r R) any { return r.IdleAfter }, "10s"},
		{"seed bars", "", func(r R) any { return r.SeedBars }, 50},
		{"seed bars kept", "stream: {seedBars: 0}", func(r R) any { return r.SeedBars }, 0},
		{"connections", "", func(r R) any { return r.MaxConnections }, 20000},
		{"connections kept", "stream: {maxConnections: 1}", func(r R) any { return r.MaxConnections }, 1},
		{"symbols of one", "", func(r R) any { return r.MaxSymbolsPerConnection }, 200},
		{"symbols of one kept", "stream: {maxSymbolsPerConnection: 1}", func(r R) any { return r.MaxSymbolsPerConnection }, 1},
		{"ring", "", func(r R) any { return r.RingCapacity }, 5000},
		{"ring kept", "history: {ringCapacity: 9}", func(r R) any { return r.RingCapacity }, 9},
		{"upstream", "", func(r R) any { return r.Upstream }, "Enabled"},
		{"upstream kept", "history: {upstream: Disabled}", func(r R) any { return r.Upstream }, "Disabled"},
		{"symbol labels", "", func(r R) any { return r.SymbolLabels }, "Auto"},
		{"symbol labels kept", "monitoring: {symbolLabels: Disabled}", func(r R) any { return r.SymbolLabels }, "Disabled"},
		{"retention", "", func(r R) any { return r.Retention }, "168h0m0s"},
		{"retention kept", "backbone: {retention: 48h}", func(r R) any { return r.Retention }, "48h0m0s"},
		{"origins kept", "access: {allowedOrigins: ['https://a']}", func(r R) any { return r.AllowedOrigins }, "[https://a]"},
		{"synthetic", "", func(r R) any { return *r.Synthetic }, "{1 20 1}"},
		{"synthetic kept", vendor("synthetic: {seed: 0, ticksPerSecond: 3, speed: Max}"), func(r R) any { return *r.Synthetic }, "{0 3 Max}"},
		{"replay", vendor("replay: {path: a}"), func(r R) any { return *r.Replay }, "{a 1 Never Now}"},
		{"replay kept", vendor("replay: {path: a, speed: '2', loop: Forever, rebase: Keep}"), func(r R) any { return *r.Replay }, "{a 2 Forever Keep}"},
		{"polygon's connections", fmt.Sprintf(polygon, key) + ", shards: 3", func(r R) any { return r.Connections }, 1},
		{"kraken's connections are as many as there are pods", vendor("kraken: {}") + ", shards: 3", func(r R) any { return r.Connections }, 0},
		{"coinbase's", vendor("coinbase: {}") + ", shards: 3", func(r R) any { return r.Connections }, 0},
		{"binance's", vendor("binance: {}") + ", shards: 3", func(r R) any { return r.Connections }, 0},
		{"synthetic's", "shards: 3", func(r R) any { return r.Connections }, 0},
		{"alpaca's connections", vendor("alpaca: {keySecretRef: {name: a}}") + ", shards: 3", func(r R) any { return r.Connections }, 1},
		{"alpaca's connections kept", vendor("alpaca: {keySecretRef: {name: a}, connections: 4}"), func(r R) any { return r.Connections }, 4},
		{"kraken's connections kept", vendor("kraken: {connections: 2}") + ", shards: 3", func(r R) any { return r.Connections }, 2},
		{"the first override wins", "overrides: [{symbols: [bacpb], ticks: Enabled}, {symbols: [BACpB], ticks: Conflated, bufferCapacity: 5}]",
			func(r R) any {
				return fmt.Sprintln(r.TicksFor("BACPB"), r.BufferCapacityFor("BACPB"), r.TicksFor("SPY"))
			}, "Enabled 1000 Disabled\n"},
		{"override's buffer", "overrides: [{symbols: [SPY], bufferCapacity: 5}]",
			func(r R) any { return fmt.Sprintln(r.BufferCapacityFor("spy"), r.TicksFor("spy")) }, "5 Disabled\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.get(resolve(t, c.spec)); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
