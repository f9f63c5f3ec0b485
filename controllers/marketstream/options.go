package marketstream

import (
	"errors"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
)

// Options of the operator.
type Options struct {
	Config *rest.Config
	// Image that streams get that name none: the operator's own release.
	Image string
	// Namespace whose streams are served; empty: all.
	Namespace string
	// OwnNamespace is where the operator runs.
	OwnNamespace string
	// LeaderElection: only one of several operators acts.
	LeaderElection bool
	// MetricsListen and HealthListen are addresses; "0": none.
	MetricsListen, HealthListen string
	// PlainMetrics: metrics over HTTP for whoever asks, for tests.
	PlainMetrics bool
	// Workers reconcile at once; 4.
	Workers int
	Log     logr.Logger

	// Settings that tests change.

	// Later are revisions of pod templates above desired.Newest.
	Later []desired.Later
	// Level of the schema that a stream's document needs; nil: MarketStream.Level.
	Level func(*v1alpha1.MarketStream) int
	// Least is the shortest time between two looks at one stream; 0: 250 ms.
	Least time.Duration
	// PollEvery is how often pods are asked how they are; 0: 10 s.
	PollEvery time.Duration
	// PodURL is the address at which a pod answers; nil: http://<IP>:<port>/status.
	PodURL func(ip string, port int) string
	// LookEvery is how often CRDs are looked for in the namespaced mode; 0: 1 min.
	LookEvery time.Duration
}

func (o *Options) check() error {
	switch {
	case o.Config == nil:
		return errors.New("the operator needs a Kubernetes API server: run it in a cluster, or set KUBECONFIG")
	case o.Image == "":
		return errors.New("--image: name the image that streams get, such as ghcr.io/marketstream/marketstream:v1.0.0")
	case o.OwnNamespace == "":
		return errors.New("POD_NAMESPACE is not set: the operator must know in which namespace it runs")
	}
	return nil
}
