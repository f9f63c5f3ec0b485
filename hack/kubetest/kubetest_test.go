package kubetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/marketstream/marketstream/api/podreport"
)

var (
	plane *Plane
	nodes *Nodes
)

func TestMain(m *testing.M) {
	os.Exit(Run(m, Options{CRDs: []string{"../../config/crd/bases"}}, func(p *Plane) (err error) {
		plane = p
		nodes, err = p.StartNodes(context.Background(), NodesOptions{Log: func(s string) { fmt.Fprintln(os.Stderr, s) }})
		return err
	}))
}

// eventually waits until what it looks at is so; the last error says what it was.
func eventually(t *testing.T, what string, so func() error) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

const document = `apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: demo}
spec:
  symbols: [%s]
  feed: {synthetic: {}}
`

// deployment of streamers, with the document in a ConfigMap.
func deployment(t *testing.T, ns string, replicas int32) *appsv1.Deployment {
	t.Helper()
	labels := map[string]string{"app.kubernetes.io/name": "marketstream", "app.kubernetes.io/component": "streamer"}
	_, err := plane.Client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "demo-config"}, Data: map[string]string{"stream.yaml": fmt.Sprintf(document, "AAPL")},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	surge, none := intstr.FromInt32(1), intstr.FromInt32(0)
	d, err := plane.Client.AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "demo"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &none}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
					ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "demo-config"}}}}},
				Containers: []corev1.Container{{
					Name: "streamer", Image: "marketstream:1", Args: []string{"streamer", "--config", "/etc/marketstream/config"},
					Ports:          []corev1.ContainerPort{{Name: "internal", ContainerPort: 9090}},
					VolumeMounts:   []corev1.VolumeMount{{Name: "config", MountPath: "/etc/marketstream/config"}},
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("internal")}}},
				}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rolled waits until a Deployment has so many pods ready, all of its newest template.
func rolled(t *testing.T, ns string, replicas int32) {
	t.Helper()
	eventually(t, "the Deployment is rolled out", func() error {
		d, err := plane.Client.AppsV1().Deployments(ns).Get(t.Context(), "demo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		s := d.Status
		if s.ObservedGeneration != d.Generation || s.UpdatedReplicas != replicas || s.ReadyReplicas != replicas || s.Replicas != replicas {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

func setImage(t *testing.T, ns, image string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"streamer","image":%q}]}}}}`, image)
	if _, err := plane.Client.AppsV1().Deployments(ns).Patch(t.Context(), "demo", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func pods(t *testing.T, ns string) []corev1.Pod {
	t.Helper()
	list, err := plane.Client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// status asks a pod over its socket.
func status(t *testing.T, pod corev1.Pod) (r podreport.Report, err error) {
	t.Helper()
	answer, err := http.Get("http://" + pod.Status.PodIP + ":9090/status")
	if err != nil {
		return r, err
	}
	defer func() { _ = answer.Body.Close() }()
	return r, json.NewDecoder(answer.Body).Decode(&r)
}

func TestDeployment(t *testing.T) {
	ns := plane.Namespace(t)
	deployment(t, ns, 2)
	rolled(t, ns, 2)
	ips := map[string]bool{}
	for _, p := range pods(t, ns) {
		ips[p.Status.PodIP] = true
		r, err := status(t, p)
		if err != nil || !r.Ready || r.Symbols != 1 || len(r.ConfigRevision) != 16 || r.ConfigError != "" {
			t.Errorf("%s says %+v, %v", p.Name, r, err)
		}
	}
	if len(ips) != 2 {
		t.Errorf("addresses %v", ips)
	}

	// A rollout: never fewer than two ready, and the old ones go with grace.
	least := 2
	setImage(t, ns, "marketstream:2")
	eventually(t, "two of the new image", func() error {
		ready, updated := 0, 0
		all := pods(t, ns)
		for _, p := range all {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
					ready++
					if p.Spec.Containers[0].Image == "marketstream:2" {
						updated++
					}
				}
			}
		}
		least = min(least, ready)
		if updated != 2 || len(all) != 2 {
			return fmt.Errorf("%d pods, %d updated", len(all), updated)
		}
		return nil
	})
	if least < 2 {
		t.Errorf("%d ready during the rollout, with maxUnavailable 0", least)
	}

	// A bad image sticks, and the old pods stay; it can be rolled back.
	nodes.FailImage("marketstream:3", "not found")
	setImage(t, ns, "marketstream:3")
	eventually(t, "an image that cannot be pulled", func() error {
		for _, p := range pods(t, ns) {
			if len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
				p.Status.ContainerStatuses[0].State.Waiting.Reason == "ImagePullBackOff" {
				return nil
			}
		}
		return fmt.Errorf("%d pods, none of them in ImagePullBackOff", len(pods(t, ns)))
	})
	d, err := plane.Client.AppsV1().Deployments(ns).Get(t.Context(), "demo", metav1.GetOptions{})
	if err != nil || d.Status.ReadyReplicas != 2 || d.Status.UpdatedReplicas != 1 {
		t.Errorf("%+v, %v", d.Status, err)
	}
	setImage(t, ns, "marketstream:2")
	rolled(t, ns, 2)
	setImage(t, ns, "marketstream:3")
	nodes.HealImage("marketstream:3")
	rolled(t, ns, 2)
}

func TestMountedLate(t *testing.T) {
	ns := plane.Namespace(t)
	deployment(t, ns, 1)
	rolled(t, ns, 1)
	pod := pods(t, ns)[0]
	before, err := status(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	set := func(text string) {
		t.Helper()
		patch, _ := json.Marshal(map[string]any{"data": map[string]string{"stream.yaml": text}})
		if _, err := plane.Client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "demo-config", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	touch := func(value string) {
		t.Helper()
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"marketstream.dev/touched":%q}}}`, value)
		if _, err := plane.Client.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s := nodes.Program(ns, pod.Name).(*Streamer)
	var probes atomic.Int32
	s.Change(func(*podreport.Report) { probes.Add(1) })
	set(fmt.Sprintf(document, "AAPL, MSFT"))
	probes.Store(0)
	eventually(t, "the pod is looked at some times", func() error {
		if n := probes.Load(); n < 5 {
			return fmt.Errorf("%d probes", n)
		}
		return nil
	})
	if r, err := status(t, pod); err != nil || r.ConfigRevision != before.ConfigRevision {
		t.Errorf("mounted before the kubelet looks: %+v, %v", r, err)
	}
	touch("1")
	eventually(t, "mounted once the pod is touched", func() error {
		r, err := status(t, pod)
		if err == nil && (r.ConfigRevision == before.ConfigRevision || r.Symbols != 2) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	set("spec: {symbols: []}")
	touch("2")
	eventually(t, "a document that it can't run", func() error {
		r, err := status(t, pod)
		if err == nil && (r.ConfigError == "" || r.Symbols != 2 || !r.Ready) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	// A test can have a pod say and be what it wants.
	s.Hold("rings are loading")
	s.Change(func(r *podreport.Report) { r.Connections = 7 })
	eventually(t, "a pod that holds is not ready", func() error {
		p, err := plane.Client.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err == nil && p.Status.ContainerStatuses[0].Ready {
			err = fmt.Errorf("%v", s)
		}
		return err
	})
	if r, err := status(t, pod); err != nil || r.Connections != 7 || r.Ready {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestGrace(t *testing.T) {
	ns := plane.Namespace(t)
	deployment(t, ns, 1)
	rolled(t, ns, 1)
	pod := pods(t, ns)[0]
	s := nodes.Program(ns, pod.Name).(*Streamer)
	s.Drain(20 * time.Second) // longer than the grace period: SIGKILL ends it
	grace := int64(2)
	if err := plane.Client.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it drains", func() error {
		if r := s.Report(); !r.Draining {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	eventually(t, "it is gone", func() error {
		_, err := plane.Client.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
	eventually(t, "nothing listens", func() error {
		if _, err := status(t, pod); err == nil {
			return fmt.Errorf("it answers")
		}
		return nil
	})
}

func TestClaimsAreBoundAndGrow(t *testing.T) {
	ns := plane.Namespace(t)
	replicas, labels := int32(2), map[string]string{"app": "store"}
	_, err := plane.Client.AppsV1().StatefulSets(ns).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "store"},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas, ServiceName: "store", Selector: &metav1.LabelSelector{MatchLabels: labels},
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "store", Image: "store:1", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}}}},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the StatefulSet is ready", func() error {
		s, err := plane.Client.AppsV1().StatefulSets(ns).Get(t.Context(), "store", metav1.GetOptions{})
		if err == nil && s.Status.ReadyReplicas != 2 {
			err = fmt.Errorf("%+v", s.Status)
		}
		return err
	})
	patch := []byte(`{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`)
	claims := plane.Client.CoreV1().PersistentVolumeClaims(ns)
	if _, err := claims.Patch(t.Context(), "data-store-0", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim has grown", func() error {
		c, err := claims.Get(t.Context(), "data-store-0", metav1.GetOptions{})
		if err == nil && c.Status.Capacity.Storage().String() != "2Gi" {
			err = fmt.Errorf("%+v", c.Status)
		}
		return err
	})
}

func TestQuotaRefuses(t *testing.T) {
	ns := plane.Namespace(t)
	_, err := plane.Client.CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota is in force", func() error {
		q, err := plane.Client.CoreV1().ResourceQuotas(ns).Get(t.Context(), "few", metav1.GetOptions{})
		if err == nil && q.Status.Hard == nil {
			err = fmt.Errorf("%+v", q.Status)
		}
		return err
	})
	deployment(t, ns, 2)
	eventually(t, "the second pod is refused, and it is said", func() error {
		d, err := plane.Client.AppsV1().Deployments(ns).Get(t.Context(), "demo", metav1.GetOptions{})
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && strings.Contains(c.Message, "exceeded quota") && d.Status.ReadyReplicas == 1 {
				return nil
			}
		}
		return fmt.Errorf("%+v, %w", d.Status, err)
	})
}

func TestNamespaceGoes(t *testing.T) {
	ns := plane.Namespace(t)
	deployment(t, ns, 2)
	rolled(t, ns, 2)
	if err := plane.Client.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone with all that was in it", func() error {
		got, err := plane.Client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("%+v, %w", got.Status, err)
	})
}

func TestServiceAccount(t *testing.T) {
	ns := plane.Namespace(t)
	cfg, err := plane.ConfigForServiceAccount(t.Context(), ns, "default")
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(cfg)
	owned := func(name string) error {
		yes := true
		d, err := plane.Client.CoreV1().ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, err = client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ServiceAccount", Name: d.Name, UID: d.UID, BlockOwnerDeletion: &yes}}}}, metav1.CreateOptions{})
		return err
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "maker"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}}}}
	if err := owned("a"); !apierrors.IsForbidden(err) {
		t.Errorf("no role allows it: %v", err)
	}
	if _, err := plane.Client.RbacV1().Roles(ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = plane.Client.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "maker"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "maker"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: ns}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owner reference is enforced, not the creation", func() error {
		err := owned("b")
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "blockOwnerDeletion") {
			return nil
		}
		return fmt.Errorf("%w", err)
	})
}

func TestAPIAway(t *testing.T) {
	ns := plane.Namespace(t)
	deployment(t, ns, 1)
	rolled(t, ns, 1)
	before := pods(t, ns)[0]
	if err := plane.StopAPI(); err != nil {
		t.Fatal(err)
	}
	if _, err := plane.Client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a stopped API server answers")
	}
	if r, err := status(t, before); err != nil || !r.Ready {
		t.Errorf("a pod runs without the API: %+v, %v", r, err)
	}
	if err := plane.StartAPI(); err != nil {
		t.Fatal(err)
	}
	if after := pods(t, ns)[0]; after.UID != before.UID || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("another pod: %+v", after.ObjectMeta)
	}
	setImage(t, ns, "marketstream:2")
	rolled(t, ns, 1)

	if err := plane.Hang(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := plane.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{}); err == nil {
		t.Error("a frozen API server answers")
	}
	if err := plane.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := pods(t, ns); len(got) != 1 {
		t.Errorf("%d pods", len(got))
	}
}
