package kubetest

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// worker plays one pod's kubelet, in one goroutine. Each step looks at how things are and does what is next, so that
// one that failed, because the API server is away for example, is done again.
type worker struct {
	nodes  *Nodes
	pod    *Pod
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}

	mu      sync.Mutex
	program Program // once it runs

	// What follows is the goroutine's own.
	bound       bool
	ports       []int32
	server      *http.Server
	began       metav1.Time
	started     bool // its startup probe has passed
	ready       bool
	failures    int // of the readiness probe, in a row
	waiting     *corev1.ContainerStateWaiting
	mountedAt   time.Time
	annotations map[string]string // when it was mounted
	ended       chan struct{}     // since SIGTERM; closes when the program has ended
	told        corev1.PodStatus
	pause       time.Time // after a failure, nothing is asked of the API before
}

func newWorker(n *Nodes, pod *corev1.Pod) *worker {
	w := &worker{nodes: n, pod: &Pod{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, wake: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(n.ctx)
	return w
}

// look wakes it.
func (w *worker) look() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) playing() Program {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.program
}

func (w *worker) run() {
	defer w.close()
	tick := time.NewTicker(w.nodes.opts.Step)
	defer tick.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
		case <-tick.C:
		}
		if time.Now().Before(w.pause) {
			continue
		}
		if err := w.step(); err != nil && w.ctx.Err() == nil {
			w.pause = time.Now().Add(5 * w.nodes.opts.Step)
		}
	}
}

// close ends what it opened.
func (w *worker) close() {
	w.cancel()
	if w.server != nil {
		_ = w.server.Close()
		w.nodes.net.close(w.pod.Address(), w.ports)
	}
}

func (w *worker) step() error {
	pod := w.pod.Object()
	switch {
	case pod.DeletionTimestamp != nil:
		return w.end(pod)
	case pod.Spec.NodeName == "":
		return w.bind(pod)
	case w.server == nil:
		return w.start(pod)
	}
	if err := w.remount(pod); err != nil {
		return err
	}
	w.probe(pod)
	return w.tell(pod)
}

// bind is the scheduler.
func (w *worker) bind(pod *corev1.Pod) error {
	if w.bound {
		return nil // its object will come
	}
	err := w.nodes.client.CoreV1().Pods(pod.Namespace).Bind(w.ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: w.nodes.bind()},
	}, metav1.CreateOptions{})
	w.bound = err == nil || apierrors.IsConflict(err)
	return err
}

// start mounts, pulls and runs.
func (w *worker) start(pod *corev1.Pod) error {
	files, err := w.nodes.mounted(w.ctx, pod)
	if err != nil {
		w.waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating", Message: err.Error()}
		return errors.Join(err, w.tell(pod))
	}
	if why := w.nodes.pull(w.pod.Image()); why != "" {
		reason, message := "ErrImagePull", why
		if w.waiting != nil && w.waiting.Reason != "ContainerCreating" {
			reason, message = "ImagePullBackOff", "Back-off pulling image \""+w.pod.Image()+"\": ErrImagePull: "+why
		}
		w.waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
		return w.tell(pod)
	}
	w.ports = served(pod)
	ip, listeners, err := w.nodes.net.open(w.ports)
	if err != nil {
		w.waiting = &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}
		return errors.Join(err, w.tell(pod))
	}
	w.pod.mu.Lock()
	w.pod.address = ip
	w.pod.mu.Unlock()
	w.pod.mount(files)
	w.mountedAt, w.annotations = time.Now(), maps.Clone(pod.Annotations)
	program := w.nodes.opts.Program(w.pod)
	program.Mounted()
	w.server = &http.Server{Handler: program, ReadHeaderTimeout: time.Minute}
	for _, l := range listeners {
		w.nodes.group.Go(func() { w.serve(l) })
	}
	w.waiting, w.began = nil, metav1.Now()
	w.mu.Lock()
	w.program = program
	w.mu.Unlock()
	w.probe(pod)
	return w.tell(pod)
}

func (w *worker) serve(l net.Listener) {
	_ = w.server.Serve(l) // it ends with the pod
}

// remount brings what changed in ConfigMaps and Secrets: late, but at once when the pod's object was touched.
func (w *worker) remount(pod *corev1.Pod) error {
	if time.Since(w.mountedAt) < w.nodes.opts.ConfigDelay && maps.Equal(w.annotations, pod.Annotations) {
		return nil
	}
	files, err := w.nodes.mounted(w.ctx, pod)
	if apierrors.IsNotFound(err) {
		err, files = nil, w.pod.filesNow() // a volume keeps what it had
	}
	if err != nil {
		return err
	}
	w.mountedAt, w.annotations = time.Now(), maps.Clone(pod.Annotations)
	if w.pod.mount(files) {
		w.playing().Mounted()
	}
	return nil
}

// end is SIGTERM, then the end of the program or of the grace period, then of the pod.
func (w *worker) end(pod *corev1.Pod) error {
	if program := w.playing(); program != nil {
		if w.ended == nil {
			w.ended = make(chan struct{})
			grace := time.Duration(0)
			if s := pod.DeletionGracePeriodSeconds; s != nil {
				grace = time.Duration(*s) * time.Second
			}
			w.nodes.group.Go(func() {
				defer close(w.ended)
				ctx, cancel := context.WithTimeout(w.ctx, grace)
				defer cancel()
				program.Terminate(ctx)
				w.look()
			})
		}
		select {
		case <-w.ended:
			_ = w.server.Close()
		default:
			w.probe(pod)
			return w.tell(pod)
		}
	}
	now := int64(0)
	err := w.nodes.client.CoreV1().Pods(pod.Namespace).Delete(w.ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
