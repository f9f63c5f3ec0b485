package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/marketstream/marketstream/hack/chaos/proc"
	"github.com/marketstream/marketstream/hack/kube"
)

// startWithin is how long a program may take to start on a machine that does other things too.
const startWithin = 2 * time.Minute

// Options of a Plane.
type Options struct {
	CRDs []string // files or directories of CRDs to install before anything watches
	// Log tells what takes time; nil: to standard error.
	Log func(string)
}

// Plane is a running control plane.
type Plane struct {
	// Admin may do everything.
	Admin *rest.Config
	// Client is the administrator's.
	Client kubernetes.Interface

	dir string // of everything that it writes
	env *envtest.Environment
	kcm *proc.Process
	ids ids

	mu     sync.Mutex
	down   bool
	nodes  []*Nodes
	stopIt sync.Once
}

// Start starts a control plane. Stop it.
func Start(ctx context.Context, opts Options) (*Plane, error) {
	if opts.Log == nil {
		opts.Log = func(s string) { fmt.Fprintln(os.Stderr, "kubetest:", s) }
	}
	assets, err := kube.Assets(ctx, opts.Log, kube.Tests...)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kubetest-")
	if err != nil {
		return nil, err
	}
	p := &Plane{dir: dir}
	if err := p.start(ctx, assets, opts); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Plane) start(ctx context.Context, assets string, opts Options) error {
	programs, err := p.ids.lay(filepath.Join(p.dir, "run"), assets)
	if err != nil {
		return err
	}
	certs := filepath.Join(p.dir, "certs")
	if err := os.Mkdir(certs, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.dir, "apiserver.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	p.env = &envtest.Environment{
		BinaryAssetsDirectory:    programs,
		ControlPlaneStartTimeout: startWithin, ControlPlaneStopTimeout: startWithin,
		CRDDirectoryPaths: opts.CRDs, ErrorIfCRDPathMissing: true,
	}
	api := p.env.ControlPlane.GetAPIServer()
	api.Path = filepath.Join(programs, apiServer) // KUBEBUILDER_ASSETS has been heard already
	api.Out, api.Err = log, log
	api.CertDir = certs // given, so that a restart keeps the certificates
	p.env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(programs, etcd), DataDir: filepath.Join(p.dir, "etcd")}
	api.Configure().
		Disable("disable-admission-plugins"). // envtest has no ServiceAccount; a controller manager makes them here
		Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement").
		Set("service-cluster-ip-range", "10.96.0.0/16"). // 254 Services are few
		Set("profiling", "false")
	if p.Admin, err = p.env.Start(); err != nil {
		return fmt.Errorf("control plane: %w\n%s", err, tail(log.Name()))
	}
	if p.Client, err = kubernetes.NewForConfig(p.Admin); err != nil {
		return err
	}
	return p.startControllers(ctx, filepath.Join(assets, "kube-controller-manager"))
}

// Stop stops everything that was started, and removes what it wrote.
func (p *Plane) Stop() (err error) {
	p.stopIt.Do(func() {
		p.mu.Lock()
		nodes := p.nodes
		p.mu.Unlock()
		for _, n := range nodes {
			n.Stop()
		}
		if p.kcm != nil {
			p.kcm.Kill() // nothing of its state is to be kept
		}
		if p.env != nil {
			_ = p.ids.resume(apiServer) // it cannot end while it hangs
			err = p.env.Stop()
		}
		err = errors.Join(err, os.RemoveAll(p.dir))
	})
	return err
}

// Dir is where the logs are: apiserver.log and controllers.log.
func (p *Plane) Dir() string { return p.dir }

// StopAPI stops the API server, as a crash of its machine would; etcd keeps what it has.
func (p *Plane) StopAPI() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return errors.New("the API server is stopped already")
	}
	if err := p.ids.kill(apiServer); err != nil {
		return err
	}
	p.down = true
	return p.env.ControlPlane.APIServer.Stop() // waits for its end
}

// StartAPI starts a stopped API server at its old address, and waits until it answers.
func (p *Plane) StartAPI() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		return errors.New("the API server is not stopped")
	}
	if err := p.env.ControlPlane.APIServer.Start(); err != nil {
		return fmt.Errorf("start the API server again: %w", err)
	}
	p.down = false
	return nil
}

// Hang freezes the API server: connections stay, and nothing answers. Resume ends it.
func (p *Plane) Hang() error { return p.ids.pause(apiServer) }

// Resume lets a frozen API server go on.
func (p *Plane) Resume() error { return p.ids.resume(apiServer) }

// tail is the end of a log.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data[max(0, len(data)-4000):])
}
