//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"
)

const prometheusAPI = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1/"

func needsPrometheus(s *suite) string {
	if !s.kube.own {
		return "only hack/cluster's Prometheus is known by name"
	}
	if out, err := s.kube.command(s.browser.ctx, "", "get", "crd", "servicemonitors.monitoring.coreos.com", "prometheuses.monitoring.coreos.com").CombinedOutput(); err != nil {
		return fmt.Sprintf("no Prometheus in this cluster (make cluster-up ARGS=-prometheus): %s", out)
	}
	return ""
}

// ask is a query of Prometheus, and gives labels and value of each series.
func ask(t *testing.T, s *suite, query string) (series []struct {
	Metric map[string]string
	Value  [2]any
}) {
	t.Helper()
	out, err := s.kube.try(t.Context(), "", "get", "--raw", prometheusAPI+"query?query="+url.QueryEscape(query))
	if err != nil {
		t.Logf("%s: %v", query, err)
		return nil
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%s: %v\n%s", query, err, out)
	}
	return answer.Data.Result
}

// prometheus: every shard and node is scraped, and an alert fires when its cause is there and goes with it.
func prometheus(t *testing.T, s *suite) {
	ns, k := s.namespace(t, "monitored"), s.kube
	k.apply(t, ns, stream("monitored", "shards: 2"))
	began := time.Now()
	k.ready(t, ns, "monitored")
	up := func(want int) func() string {
		return func() string {
			got := ask(t, s, fmt.Sprintf(`up{namespace=%q} == 1`, ns))
			if len(got) != want {
				return fmt.Sprintf("%d targets are up, want %d: %v", len(got), want, got)
			}
			return ""
		}
	}
	eventually(t, hangs, up(3)) // two streamers and a node
	s.report.figure(t, "seconds from apply until both shards and the node are up in Prometheus", "%.0f", time.Since(began).Seconds())
	if got := k.field(t.Context(), ns, "marketstream/monitored", `{.status.conditions[?(@.type=="Monitored")].status}`); got != "True" {
		t.Errorf("Monitored is %q", got)
	}
	if got := ask(t, s, fmt.Sprintf(`sum(partition_holder{namespace=%q})`, ns)); len(got) != 1 || got[0].Value[1] != "16" {
		t.Errorf("partition_holder: %v, want 16 in all", got)
	}
	for what, query := range map[string]string{
		"MiB of memory of a streamer, at most": `max(process_resident_memory_bytes{namespace=%q, service="monitored-internal"})`,
		"MiB of memory of the node":            `max(process_resident_memory_bytes{namespace=%q, service="monitored-backbone"})`,
	} {
		if got := ask(t, s, fmt.Sprintf(query, ns)); len(got) == 1 {
			bytes, err := strconv.ParseFloat(fmt.Sprint(got[0].Value[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			s.report.figure(t, what, "%.0f", bytes/(1<<20))
		} else {
			t.Errorf("%s: %v", what, got)
		}
	}
	// The cause: somebody takes the pods away while the stream is paused. Going on, the operator brings them back.
	k.do(t, "marketstream", "pause", "monitored", "-n", ns)
	k.do(t, "scale", "deployment/monitored-streamer", "-n", ns, "--replicas=0")
	caused := time.Now()
	firing := fmt.Sprintf(`ALERTS{alertname="MarketStreamDown", marketstream="monitored", namespace=%q, alertstate="firing"}`, ns)
	eventually(t, 3*hangs, func() string {
		if len(ask(t, s, firing)) == 0 {
			return "MarketStreamDown does not fire"
		}
		return ""
	})
	s.report.figure(t, "seconds from no pod to MarketStreamDown firing (for: 3m)", "%.0f", time.Since(caused).Seconds())
	k.do(t, "marketstream", "resume", "monitored", "-n", ns)
	mended := time.Now()
	eventually(t, hangs, func() string {
		if got := ask(t, s, firing); len(got) > 0 {
			return "MarketStreamDown still fires"
		}
		return ""
	})
	eventually(t, hangs, up(3))
	s.report.figure(t, "seconds from the end of the cause until the alert is resolved", "%.0f", time.Since(mended).Seconds())
}
