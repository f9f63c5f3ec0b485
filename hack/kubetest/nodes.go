package kubetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// NodesOptions say how scheduler and kubelets are played.
type NodesOptions struct {
	// Program plays a pod; nil: Play.
	Program func(*Pod) Program
	// ConfigDelay is how late a change of a ConfigMap or a Secret is mounted, unless the pod's object changes: 0 is a kubelet's minute.
	ConfigDelay time.Duration
	// Step is how often a pod is looked at: its probe, what it waits for; 0: 50 ms.
	Step time.Duration
	// PodCIDR, as 10.244.0.0/16, gives pods addresses that only Nodes.Dial reaches; empty: each has its own in 127.0.0.0/8.
	PodCIDR string
	// Count of nodes; 0: 2.
	Count int
}

// Nodes plays the scheduler and the kubelets of a Plane.
type Nodes struct {
	client kubernetes.Interface
	opts   NodesOptions
	net    *network
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu      sync.Mutex
	workers map[types.UID]*worker
	bad     map[string]string // images that cannot be pulled, and why
	next    int               // node to bind to
}

// Play is the program of a pod by its labels: our streamers are streamers, everything else is Idle.
func Play(p *Pod) Program {
	l := p.Object().Labels
	if l["app.kubernetes.io/name"] == "marketstream" && l["app.kubernetes.io/component"] == "streamer" {
		return NewStreamer(p)
	}
	return Idle{}
}

// StartNodes makes the nodes, and a storage class whose claims are bound at once and can grow. Plane.Stop stops them.
func (p *Plane) StartNodes(ctx context.Context, opts NodesOptions) (*Nodes, error) {
	if opts.Program == nil {
		opts.Program = Play
	}
	if opts.ConfigDelay == 0 {
		opts.ConfigDelay = time.Minute
	}
	if opts.Step == 0 {
		opts.Step = 50 * time.Millisecond
	}
	if opts.Count == 0 {
		opts.Count = 2
	}
	n := &Nodes{client: p.Client, opts: opts, workers: map[types.UID]*worker{}, bad: map[string]string{}}
	var err error
	if n.net, err = newNetwork(opts.PodCIDR); err != nil {
		return nil, err
	}
	if err := n.make(ctx); err != nil {
		return nil, err
	}
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactory(n.client, 0)
	if err := n.watch(factory); err != nil {
		n.cancel()
		return nil, err
	}
	factory.Start(n.ctx.Done())
	n.group.Go(func() { <-n.ctx.Done(); factory.Shutdown() })
	if !cache.WaitForCacheSync(ctx.Done(), factory.Core().V1().Pods().Informer().HasSynced) {
		n.Stop()
		return nil, fmt.Errorf("watch pods: %w", context.Cause(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes = append(p.nodes, n)
	return n, nil
}

// Stop ends every program as a power cut would, and says nothing of it to the API.
func (n *Nodes) Stop() {
	n.cancel()
	n.group.Wait()
}

// make makes the objects: nodes, and the storage class.
func (n *Nodes) make(ctx context.Context) error {
	for i := range n.opts.Count {
		name := nodeName(i)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i)}},
			Status: corev1.NodeStatus{
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
			},
		}
		if _, err := n.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	yes, at := true, storagev1.VolumeBindingImmediate
	class := &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: "kubetest", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "kubetest", AllowVolumeExpansion: &yes, VolumeBindingMode: &at,
	}
	if _, err := n.client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("storage class: %w", err)
	}
	return nil
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// watch has pods and claims brought to us.
func (n *Nodes) watch(factory informers.SharedInformerFactory) error {
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.see(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { n.see(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if pod, ok := o.(*corev1.Pod); ok {
				n.forget(pod.UID)
			}
		},
	})
	if err != nil {
		return err
	}
	claim := func(o any) {
		c := o.(*corev1.PersistentVolumeClaim)
		n.group.Go(func() { n.retry(func() error { return n.provision(n.ctx, c) }) })
	}
	_, err = factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: claim, UpdateFunc: func(_, o any) { claim(o) },
	})
	return err
}

// retry does a thing until it is done, its object is another or gone, or we stop.
func (n *Nodes) retry(do func() error) {
	tick := time.NewTicker(10 * n.opts.Step)
	defer tick.Stop()
	for {
		err := do()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			return
		}
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// see gives a pod to its worker, which starts with the first sight of it.
func (n *Nodes) see(pod *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	w := n.workers[pod.UID]
	if w == nil {
		w = newWorker(n, pod)
		n.workers[pod.UID] = w
		n.group.Go(w.run)
	}
	w.pod.see(pod)
	w.look()
}

// forget ends the worker of a pod that is gone.
func (n *Nodes) forget(uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.workers[uid]; w != nil {
		delete(n.workers, uid)
		w.cancel()
	}
}

// FailImage has every pull of an image fail from now on, with a message; pods that run it already go on.
func (n *Nodes) FailImage(image, message string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bad[image] = message
}

// HealImage lets an image be pulled again.
func (n *Nodes) HealImage(image string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.bad, image)
}

// pull says why an image cannot be had, or "".
func (n *Nodes) pull(image string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bad[image]
}

// Program is what plays a pod, once it runs: a *Streamer, or what NodesOptions.Program made.
func (n *Nodes) Program(namespace, name string) Program {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.workers {
		if w.pod.Namespace == namespace && w.pod.Name == name {
			return w.playing()
		}
	}
	return nil
}

// bind says on which node the next pod goes: one after the other.
func (n *Nodes) bind() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return nodeName(n.next % n.opts.Count)
}
