package marketstream

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/observed"
	"github.com/marketstream/marketstream/controllers/reports"
)

// byInstance is the index of pods by the stream that they are of.
const byInstance = "instance"

// Ports of pods at which they say how they are (docs/contracts/operator.md).
const (
	streamerPort = 9090
	nodePort     = 8222
)

// pods looks at the stream's pods, and tells the poller which there are.
func (r *Reconciler) pods(ctx context.Context, s *scope) error {
	var list corev1.PodList
	if err := r.client.List(ctx, &list, client.InNamespace(s.key.Namespace), client.MatchingFields{byInstance: s.key.Name}); err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	answers := r.poller.Of(s.key.String())
	secret := desired.BackboneSecretName(s.stream)
	var targets []reports.Target
	for i := range list.Items {
		p := &list.Items[i]
		node := p.Labels[desired.LabelComponent] == desired.ComponentBackbone
		w, port := &s.seen.Streamers, streamerPort
		if node {
			w, port = &s.seen.Nodes, nodePort
		}
		seen := pod(p)
		if a, ok := answers[seen.UID]; ok {
			seen.Report, seen.Node, seen.Silent = a.Report, a.Node, a.Err
		}
		s.missing = s.missing || lacks(&seen, secret)
		w.Pods = append(w.Pods, seen)
		if p.Status.PodIP != "" && seen.Running {
			targets = append(targets, reports.Target{UID: seen.UID, URL: r.url(p.Status.PodIP, port), Node: node})
		}
	}
	r.poller.Set(s.key.String(), targets)
	s.sharing = r.sharing(ctx, s)
	return nil
}

func (r *Reconciler) url(ip string, port int) string {
	if r.opts.PodURL != nil {
		return r.opts.PodURL(ip, port)
	}
	return "http://" + net.JoinHostPort(ip, strconv.Itoa(port)) + "/status"
}

// pod keeps of a pod what decisions and conditions need.
func pod(p *corev1.Pod) observed.Pod {
	out := observed.Pod{Name: p.Name, UID: string(p.UID), Revision: revision(p.Annotations), Image: p.Annotations[desired.AnnotationImage],
		Leaving: p.DeletionTimestamp != nil}
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady:
			out.Ready = c.Status == corev1.ConditionTrue
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			out.Unscheduled = c.Message
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		out.Running = out.Running || c.State.Running != nil
		if out.Stuck == "" {
			out.Stuck = stuck(&c)
		}
	}
	if p.Status.Phase == corev1.PodFailed {
		out.Stuck = "PodFailed: " + p.Status.Reason + " " + p.Status.Message
	}
	return out
}

// stuck is why a container does not start, in words that stay the same while it is tried again.
func stuck(c *corev1.ContainerStatus) string {
	w := c.State.Waiting
	if w == nil {
		return ""
	}
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		return "ImagePullBackOff: the image " + c.Image + " cannot be pulled"
	case "ErrImageNeverPull":
		return "ErrImageNeverPull: the image " + c.Image + " is not on the node"
	case "InvalidImageName":
		return "InvalidImageName: " + c.Image + " is no image's name"
	case "CrashLoopBackOff":
		if t := c.LastTerminationState.Terminated; t != nil {
			return fmt.Sprintf("CrashLoopBackOff: it ends with exit code %d: %s", t.ExitCode, strings.TrimSpace(t.Message))
		}
		return "CrashLoopBackOff: it ends again and again"
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return w.Reason + ": " + w.Message
	}
	return ""
}

// lacks reports whether a pod says that it misses a Secret.
func lacks(p *observed.Pod, secret string) bool {
	var all []podreport.Secret
	if p.Report != nil {
		all = append(all, p.Report.Secrets...)
	}
	if p.Node != nil {
		all = append(all, p.Node.Secrets...)
	}
	return slices.ContainsFunc(all, func(s podreport.Secret) bool { return s.Name == secret && s.State == "missing" })
}
