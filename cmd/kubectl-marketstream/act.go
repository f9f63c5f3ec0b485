package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/marketstream/marketstream/cmd/internal/tail"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pausedKey is the annotation that pauses a stream while it is "true".
const pausedKey = "marketstream.dev/paused"

// tailSymbols prints bars, through the API server's proxy of the stream's Service: no port is
// forwarded, and it goes on when the pod that it came from is replaced.
func tailSymbols(ctx context.Context, c *cluster, args []string, out, errs io.Writer) error {
	m, err := c.stream(ctx, args[0])
	if err != nil {
		return err
	}
	if m.Spec.Access != nil && m.Spec.Access.Auth != nil {
		return errors.New("this stream asks its clients who they are (spec.access.auth), and the API server passes no credentials on; open " + orDash(m.Status.URL))
	}
	if s := m.Spec.Shards; s != nil && *s == 0 {
		return errors.New("this stream is hibernated; kubectl scale marketstream " + m.Name + " --replicas=1 wakes it")
	}
	u, client, err := c.through(m, "/stream/market", url.Values{"symbols": {strings.Join(args[1:], ",")}, "seed": {"5"}, "events": {"bar"}, "errors": {"http"}})
	if err != nil {
		return err
	}
	t := tail.Tailer{URL: u, Client: client, Hint: "; has the stream a pod that is ready? kubectl marketstream shards " + m.Name, Out: out, Errs: errs}
	return t.Run(ctx)
}

// drain evicts a pod: it lets its clients go at their pace, and its Deployment makes another. The
// stream's disruption budget has its say.
func drain(ctx context.Context, c *cluster, args []string, out, _ io.Writer) error {
	m, err := c.stream(ctx, args[0])
	if err != nil {
		return err
	}
	pods, err := c.pods(ctx, m.Name)
	if err != nil {
		return err
	}
	var pod *corev1.Pod
	var names []string
	for i := range pods {
		names = append(names, pods[i].Name)
		if pods[i].Name == args[1] {
			pod = &pods[i]
		}
	}
	switch {
	case len(pods) == 0:
		return fmt.Errorf("stream %q has no pods", m.Name)
	case pod == nil:
		return fmt.Errorf("stream %q has no pod %q; it has %s", m.Name, args[1], strings.Join(names, ", "))
	case pod.DeletionTimestamp != nil:
		_, _ = fmt.Fprintf(out, "%s is draining already\n", pod.Name)
	default:
		err := c.core.PolicyV1().Evictions(c.namespace).Evict(ctx, &policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: c.namespace},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
		})
		if apierrors.IsTooManyRequests(err) {
			return fmt.Errorf("not now: another pod of %q is away, and one may be at a time (%w)", m.Name, err)
		}
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%s drains: it lets its clients go, and they find another pod\n", pod.Name)
	}
	if err := c.gone(ctx, pod); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%s is gone\n", pod.Name)
	return nil
}

// gone waits until a pod is no more.
func (c *cluster) gone(ctx context.Context, pod *corev1.Pod) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		p, err := c.core.CoreV1().Pods(c.namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && p.UID != pod.UID:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s was still draining: %w", pod.Name, ctx.Err())
		case <-tick.C:
		}
	}
}

// pause has the operator leave a stream as it is.
func pause(ctx context.Context, c *cluster, args []string, out, _ io.Writer) error {
	return c.setPaused(ctx, args[0], `"true"`, out, "%s is paused: the operator changes nothing of it but its status; it goes on serving\n")
}

// resume ends a pause.
func resume(ctx context.Context, c *cluster, args []string, out, _ io.Writer) error {
	return c.setPaused(ctx, args[0], "null", out, "%s is not paused any more\n")
}

func (c *cluster) setPaused(ctx context.Context, name, value string, out io.Writer, said string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, pausedKey, value)
	if _, err := c.streams().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-marketstream"}); err != nil {
		return c.plain(err, name)
	}
	_, err := fmt.Fprintf(out, said, name)
	return err
}
