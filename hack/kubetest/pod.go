package kubetest

import (
	"bytes"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pod is a pod as its program sees it.
type Pod struct {
	Namespace, Name string
	UID             types.UID

	mu      sync.Mutex
	object  *corev1.Pod
	address netip.Addr                   // once it runs
	files   map[string]map[string][]byte // by the directory of the mount, and the name in it
}

// Object is the newest that was seen of it; do not change it.
func (p *Pod) Object() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.object
}

// Address is its address, once it runs.
func (p *Pod) Address() netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// Image is that of its first container, which is the one that is played.
func (p *Pod) Image() string { return p.Object().Spec.Containers[0].Image }

// Flag is the value of a flag in the command line of its first container, as "--name value" or "--name=value".
func (p *Pod) Flag(name string) string {
	c := p.Object().Spec.Containers[0]
	args := append(slices.Clone(c.Command), c.Args...)
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v
		}
		if a == "--"+name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// Mounts are the directories at which ConfigMaps and Secrets are mounted, whether there is something in them or not.
func (p *Pod) Mounts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.files))
}

// Files are those at a mount, by name.
func (p *Pod) Files(dir string) map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.files[dir])
}

// File is a file of a mount.
func (p *Pod) File(name string) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, ok := p.files[path.Dir(name)][path.Base(name)]
	return data, ok
}

// see takes a newer object.
func (p *Pod) see(object *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.object = object
}

// mount takes what volumes hold, and reports whether that is something new.
func (p *Pod) mount(files map[string]map[string][]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := p.files != nil && maps.EqualFunc(p.files, files, func(a, b map[string][]byte) bool {
		return maps.EqualFunc(a, b, bytes.Equal)
	})
	p.files = files
	return !same
}

// filesNow is what is mounted.
func (p *Pod) filesNow() map[string]map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files
}
