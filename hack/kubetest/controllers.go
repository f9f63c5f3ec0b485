package kubetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/marketstream/marketstream/hack/chaos/proc"
)

// controllers are those that an operator's objects need, and no others: each costs memory and watches.
var controllers = []string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "disruption-controller",
	"endpointslice-controller", "garbage-collector-controller", "namespace-controller", "resourcequota-controller",
	"serviceaccount-controller", "root-ca-certificate-publisher-controller", "clusterrole-aggregation-controller", "persistentvolumeclaim-protection-controller",
	"validatingadmissionpolicy-status-controller", "horizontal-pod-autoscaler-controller",
}

// startControllers starts the controller manager, with rights as in a real cluster: its own few, and a service account
// for each controller.
func (p *Plane) startControllers(ctx context.Context, path string) error {
	user, err := p.env.AddUser(envtest.User{Name: "system:kube-controller-manager"}, nil)
	if err != nil {
		return err
	}
	text, err := user.KubeConfig()
	if err != nil {
		return err
	}
	config := filepath.Join(p.dir, "controllers.kubeconfig")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	ca := filepath.Join(p.dir, "ca.crt") // every pod that may use the API mounts it
	if err := os.WriteFile(ca, p.Admin.CAData, 0o600); err != nil {
		return err
	}
	p.kcm, err = proc.Start(p.dir, "controllers", path, []string{
		"--kubeconfig=" + config,
		"--controllers=" + strings.Join(controllers, ","),
		"--root-ca-file=" + ca,
		"--service-account-private-key-file=" + filepath.Join(p.dir, "certs", "sa-signer.key"),
		"--use-service-account-credentials",
		"--leader-elect=false",
		"--secure-port=0",
		"--horizontal-pod-autoscaler-sync-period=1s",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--profiling=false",
	}, nil, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	// A service account in the default namespace is the first thing that they make there.
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if !p.kcm.Running() {
			return false, fmt.Errorf("it has ended: %s", p.kcm.Exit())
		}
		_, err := p.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("controller manager: %w\n%s", err, tail(filepath.Join(p.dir, "controllers.log")))
	}
	return nil
}
