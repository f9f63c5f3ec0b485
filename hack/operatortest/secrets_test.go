package operatortest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/api/v1alpha1"
)

// kubeletsLook has the kubelets of all pods look at their volumes, as they do by themselves within a minute or two.
func kubeletsLook(t *testing.T, ns string) {
	t.Helper()
	for name := range pods(t, ns, "streamer") {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"kubelet":"%d"}}}`, time.Now().UnixNano())
		if err := admin.Patch(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSecretMissing: whatever Secret a stream names, pods start without it and say that they lack it, the conditions
// do, and once it comes the same pods serve. When it goes again they go on, and it is said.
func TestSecretMissing(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	specs := map[string]string{
		"polygon":   "{symbols: [SPY], feed: {polygon: {apiKeySecretRef: {name: key-of-polygon, key: apiKey}}}}",
		"alpaca":    "{symbols: [SPY], feed: {alpaca: {keySecretRef: {name: key-of-alpaca}}}}",
		"tls":       "{symbols: [BTC-USD], feed: {coinbase: {}}, access: {tlsSecretName: key-of-tls}}",
		"pin":       "{symbols: [BTC-USD], feed: {coinbase: {}}, access: {auth: {pin: {secretRef: {name: key-of-pin, key: pin}}}}}",
		"somebodys": "{symbols: [BTC-USD], feed: {coinbase: {}}, backbone: {external: {url: 'nats://nats.example', credentialsSecretRef: {name: key-of-somebodys, key: a.creds}}}}",
	}
	before := map[string]types.UID{}
	for name, spec := range specs {
		apply(t, ns, name, spec)
	}
	for name := range specs {
		m := says(t, get(t, ns, name), v1alpha1.ConditionFeedConnected, "False", "SecretMissing")
		says(t, m, v1alpha1.ConditionReady, "False", "")
		eventually(t, name+" says which", func() error {
			m := get(t, ns, name)
			for _, kind := range []string{v1alpha1.ConditionFeedConnected, v1alpha1.ConditionReady} {
				if c := find(m, kind); !strings.Contains(c.Message, "Secret key-of-"+name+" is missing") {
					return fmt.Errorf("%s: %s", kind, c.Message)
				}
			}
			return nil
		})
	}
	for name, p := range pods(t, ns, "streamer") {
		before[name] = p.UID
	}
	secrets := map[string]*corev1.Secret{}
	for name := range specs {
		secrets[name] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "key-of-" + name},
			StringData: map[string]string{"apiKey": "k", "keyID": "k", "secretKey": "k", "tls.crt": "k", "tls.key": "k", "pin": "123456", "a.creds": "k"}}
		if err := admin.Create(t.Context(), secrets[name]); err != nil {
			t.Fatal(err)
		}
	}
	kubeletsLook(t, ns)
	for name := range specs {
		m := says(t, get(t, ns, name), v1alpha1.ConditionReady, "True", "Serving")
		says(t, m, v1alpha1.ConditionFeedConnected, "True", "Connected")
	}
	for name := range specs {
		if err := admin.Delete(t.Context(), secrets[name]); err != nil {
			t.Fatal(err)
		}
	}
	kubeletsLook(t, ns)
	for name := range specs {
		eventually(t, name+" says that it is gone", func() error {
			m := get(t, ns, name)
			if c := find(m, v1alpha1.ConditionFeedConnected); c.Status != "True" || !strings.Contains(c.Message, "Secret key-of-"+name+" is missing") {
				return fmt.Errorf("%s %s", c.Status, c.Message)
			}
			if c := find(m, v1alpha1.ConditionReady); c.Status != "True" {
				return fmt.Errorf("%s %s", c.Status, c.Message)
			}
			return nil
		})
	}
	for name, p := range pods(t, ns, "streamer") {
		if before[name] != p.UID {
			t.Errorf("%s is new", name)
		}
	}
}

// TestSharedKey: two streams that use one vendor's key, whose account allows one connection, both say so and name the
// other: by the reference, and by what pods report of the key. Neither is touched for it, and it ends with its cause.
func TestSharedKey(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	for _, name := range []string{"one", "other"} {
		if err := admin.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, StringData: map[string]string{"apiKey": name}}); err != nil {
			t.Fatal(err)
		}
	}
	spec := func(secret, more string) string {
		return "{symbols: [SPY], feed: {polygon: {apiKeySecretRef: {name: " + secret + ", key: apiKey}" + more + "}}}"
	}
	shares := func(name string, with ...string) {
		t.Helper()
		m := says(t, get(t, ns, name), v1alpha1.ConditionFeedConnected, "False", "SharedKey")
		for _, other := range with {
			if c := find(m, v1alpha1.ConditionFeedConnected); !strings.Contains(c.Message, ns+"/"+other) {
				t.Errorf("%s says %q", name, c.Message)
			}
		}
		says(t, m, v1alpha1.ConditionReady, "True", "Serving") // a vendor's trouble is the feed's alone
	}
	alone := func(name string) {
		t.Helper()
		says(t, get(t, ns, name), v1alpha1.ConditionFeedConnected, "True", "Connected")
	}
	apply(t, ns, "first", spec("one", ""))
	alone("first")
	apply(t, ns, "second", spec("one", ""))
	shares("second", "first")
	shares("first", "second")
	apply(t, ns, "second", spec("one", ", connections: 2")) // an account that allows more
	alone("second")
	alone("first")
	apply(t, ns, "second", spec("other", ""))
	alone("second")
	alone("first")

	// The same key in two Secrets: only those that hold it can tell.
	says(t, get(t, ns, "second"), v1alpha1.ConditionReady, "True", "Serving")
	for name := range pods(t, ns, "streamer") {
		streamer(t, ns, name).Change(func(r *podreport.Report) {
			for i := range r.Secrets {
				if !strings.Contains(r.Secrets[i].Name, "backbone") {
					r.Secrets[i].Fingerprint = "0011223344556677"
				}
			}
		})
	}
	shares("first", "second")
	shares("second", "first")
	if err := admin.Delete(t.Context(), get(t, ns, "second")); err != nil {
		t.Fatal(err)
	}
	alone("first")
}
