//go:build e2e

package e2e

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"
)

// hangs is a guard against hanging, not a deadline.
const hangs = 4 * time.Minute

// scenario is one thing that users do. It has a namespace of its own.
type scenario struct {
	name string
	run  func(*testing.T, *suite)
	// needs says why it cannot run in this cluster, "" if it can.
	needs func(*suite) string
}

var scenarios = []scenario{
	{"FirstApply", firstApply, nil},
	{"Kubectl", kubectlDoes, nil},
	{"Reload", reload, nil},
	{"Roll", roll, nil},
	{"Scale", scaleAndSleep, nil},
	{"Gateway", gateway, needsGateway},
	{"Prometheus", prometheus, needsPrometheus},
}

// suite is what scenarios share. Its fields are set by setUp.
type suite struct {
	kube    *kube
	browser *browser
	report  *report
	ip      string // of the ingress
	tls     pair   // of *.e2e.example.test
}

// TestE2E goes through everything with the first way to install, and through the first apply with the others.
func TestE2E(t *testing.T) {
	s := setUp(t)
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			began := time.Now()
			s.install(t, way)
			s.report.add(way.name, "Install", "seconds until the operator is available", "%.1f", time.Since(began).Seconds())
			for k, sc := range scenarios {
				if i > 0 && k > 0 {
					break
				}
				t.Run(sc.name, func(t *testing.T) {
					if late(t) {
						t.Skip("!!! SKIPPED: it is past E2E_LATEST")
					}
					if sc.needs != nil {
						if why := sc.needs(s); why != "" {
							s.report.add(way.name, sc.name, "skipped", "%s", why)
							t.Skip("SKIPPED: " + why)
						}
					}
					s.report.begin(way.name, sc.name)
					sc.run(t, s)
					s.report.end(t)
				})
			}
			t.Run("Uninstall", func(t *testing.T) {
				s.report.begin(way.name, "Uninstall")
				s.uninstall(t, way)
				s.report.end(t)
			})
		})
	}
	if path := os.Getenv("E2E_REPORT"); path != "" && !t.Failed() {
		if err := s.report.write(path); err != nil {
			t.Fatal(err)
		}
	}
}

// late reports whether no new part is to be begun any more: past E2E_LATEST, in Unix seconds, if it is set.
func late(t *testing.T) bool {
	t.Helper()
	text := os.Getenv("E2E_LATEST")
	if text == "" {
		return false
	}
	latest, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("E2E_LATEST=%q: want Unix seconds", text)
	}
	return time.Now().Unix() > latest
}

// setUp finds the cluster, builds the image and has the nodes know it, and starts a browser.
func setUp(t *testing.T) *suite {
	t.Helper()
	s := &suite{kube: findCluster(t), report: newReport(), tls: newPair(t)}
	s.tidy(t)
	loadImages(t, s)
	s.ip = s.ingressIP(t)
	s.browser = startBrowser(t, s.ip)
	return s
}

// eventually looks until what it looks for is there; why says what lacks.
func eventually(t *testing.T, within time.Duration, look func() (why string)) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		why := look()
		if why == "" {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("after %s: %s", within, why)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		}
	}
}
