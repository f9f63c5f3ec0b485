package observed

import "github.com/marketstream/marketstream/api/podreport"

// Stream is all that was seen of a MarketStream in one look.
type Stream struct {
	Streamers Workload
	Nodes     Workload
	Config    Config
	Exposure  Exposure
	Volumes   []Volume
}

// Workload is the Deployment of the streamers, or the StatefulSet of the backbone.
type Workload struct {
	Exists bool
	// Template, Image and Shape are what it was built for: its annotations.
	Template int
	Image    string
	Shape    string
	// Replicas that it is told to have.
	Replicas int32
	// Settled: its controller has seen its newest spec.
	Settled bool
	// Current is the revision that new pods get: a StatefulSet's updateRevision, or the
	// pod-template-hash of a Deployment's newest ReplicaSet; empty: not known.
	Current string
	// Failure is what its controller said when it could not make pods: a quota, an admission.
	Failure string
	// Size of each volume in bytes; 0 for a Deployment.
	Size int64
	Pods []Pod // by name
}

// Pod is one pod.
type Pod struct {
	Name string
	UID  string
	// Revision of its template, to be compared with Workload.Current.
	Revision string
	Image    string
	Ready    bool
	Running  bool // its container runs
	Leaving  bool // it has a deletion timestamp
	// Stuck is why its container does not start or does not stay up: ImagePullBackOff: …
	Stuck string
	// Unscheduled is why no node takes it.
	Unscheduled string
	// Report is what it said last; nil: nothing yet, or Silent says why.
	Report *podreport.Report // of a streamer
	Node   *podreport.Node   // of a node
	Silent string
}

// Config is the ConfigMap as it is.
type Config struct {
	Exists     bool
	Document   string
	Revision   string
	CreatedMs  int64
	Generation int64
}

// Exposure is what leads browsers to the stream.
type Exposure struct {
	Ingress bool
	Route   bool
	// RouteAccepted: every parent has accepted the route as it is now; RouteSays is what one
	// that has not says.
	RouteAccepted bool
	RouteSays     string
	// Monitor and Rules exist.
	Monitor bool
	Rules   bool
}

// Volume is a claim of a node's.
type Volume struct {
	Name      string
	Requested int64 // bytes
	Has       int64 // bytes
	Says      string
}

// Kinds of others' objects that the cluster has.
type Kinds struct {
	HTTPRoute, ServiceMonitor, PrometheusRule bool
}

// Fresh reports whether a pod has the newest template of its workload.
func (w *Workload) Fresh(p *Pod) bool { return w.Current != "" && p.Revision == w.Current }

// Staying are the pods that are not on their way out.
func (w *Workload) Staying() []*Pod {
	var out []*Pod
	for i := range w.Pods {
		if !w.Pods[i].Leaving {
			out = append(out, &w.Pods[i])
		}
	}
	return out
}

// Done reports whether exactly the pods that are wanted are there, fresh and ready.
func (w *Workload) Done() bool {
	staying := w.Staying()
	if !w.Exists || !w.Settled || len(w.Pods) != len(staying) || len(staying) != int(w.Replicas) {
		return false
	}
	for _, p := range staying {
		if !w.Fresh(p) || !p.Ready {
			return false
		}
	}
	return true
}

// Ready is how many pods are ready.
func (w *Workload) Ready() int32 {
	var n int32
	for i := range w.Pods {
		if w.Pods[i].Ready && !w.Pods[i].Leaving {
			n++
		}
	}
	return n
}
