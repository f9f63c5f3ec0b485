package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/marketstream/marketstream/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// target says which cluster and namespace are meant.
type target struct{ namespace, context, kubeconfig string }

// opener opens a cluster.
type opener func(target) (*cluster, error)

// cluster is an API server and a namespace in it.
type cluster struct {
	namespace string
	config    *rest.Config
	objects   dynamic.Interface
	core      kubernetes.Interface
}

// connect reads the kubeconfig as kubectl does.
func connect(t target) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = t.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: t.context})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w", err)
	}
	if t.namespace == "" {
		if t.namespace, _, err = loader.Namespace(); err != nil {
			return nil, err
		}
	}
	return newCluster(config, t.namespace)
}

func newCluster(config *rest.Config, namespace string) (*cluster, error) {
	c := &cluster{namespace: namespace, config: config}
	var err error
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.core, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *cluster) streams() dynamic.ResourceInterface {
	return c.objects.Resource(v1alpha1.GroupVersion.WithResource("marketstreams")).Namespace(c.namespace)
}

// stream gets a MarketStream.
func (c *cluster) stream(ctx context.Context, name string) (*v1alpha1.MarketStream, error) {
	u, err := c.streams().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, c.plain(err, name)
	}
	m := &v1alpha1.MarketStream{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, m); err != nil {
		return nil, fmt.Errorf("the API server's answer is not a MarketStream that this version knows: %w", err)
	}
	return m, nil
}

// plain says what an error about a stream means.
func (c *cluster) plain(err error, name string) error {
	var status apierrors.APIStatus
	if apierrors.IsNotFound(err) && errors.As(err, &status) {
		if d := status.Status().Details; d == nil || d.Name == "" {
			return errors.New("this cluster knows no MarketStreams: install the operator first (kubectl apply --server-side -f dist/install.yaml)")
		}
		return fmt.Errorf("there is no MarketStream %q in namespace %q; kubectl get marketstreams -A lists all", name, c.namespace)
	}
	return err
}

// pods are the streamer pods of a stream.
func (c *cluster) pods(ctx context.Context, name string) ([]corev1.Pod, error) {
	selector := labels.SelectorFromSet(labels.Set{
		"app.kubernetes.io/name": "marketstream", "app.kubernetes.io/instance": name, "app.kubernetes.io/component": "streamer"})
	list, err := c.core.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// through is the URL of a path of a stream's Service, by way of the API server, and a client that
// the API server lets in.
func (c *cluster) through(m *v1alpha1.MarketStream, path string, query url.Values) (string, *http.Client, error) {
	base, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return "", nil, err
	}
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return "", nil, err
	}
	service := m.Name + ":http"
	if m.Spec.Access != nil && m.Spec.Access.TLSSecretName != "" {
		service = "https:" + service
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/api/v1/namespaces/" + c.namespace + "/services/" + service + "/proxy" + path
	base.RawQuery = query.Encode()
	return base.String(), client, nil
}
