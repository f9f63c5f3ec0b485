package operatortest

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// volumes are the claims of a stream's nodes by name: their UIDs, and what they ask for.
func volumes(t *testing.T, ns, stream string) (uids map[string]types.UID, asks map[string]string) {
	t.Helper()
	var list corev1.PersistentVolumeClaimList
	if err := admin.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	uids, asks = map[string]types.UID{}, map[string]string{}
	for _, c := range list.Items {
		if strings.HasPrefix(c.Name, "data-"+stream+"-backbone-") {
			size := c.Spec.Resources.Requests[corev1.ResourceStorage]
			uids[c.Name], asks[c.Name] = c.UID, size.String()
		}
	}
	return uids, asks
}

// TestGrowth: volumes of three nodes grow in place; the StatefulSet is made again around them, and no streamer notices.
// Where the storage class does not let them grow the stream says so and stays as it was, and goes on once it does.
func TestGrowth(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: ns}, Provisioner: "kubetest", AllowVolumeExpansion: ptr.To(false)}
	if err := admin.Create(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	sized := func(size string) string {
		return fmt.Sprintf("{symbols: [SPY], feed: {synthetic: {}}, backbone: {replicas: 3, storage: {size: %s, className: %s}}}", size, ns)
	}
	set := func() types.UID {
		t.Helper()
		var s appsv1.StatefulSet
		if err := admin.Get(t.Context(), key(ns, "us-backbone"), &s); err != nil {
			t.Fatal(err)
		}
		return s.UID
	}
	m := says(t, apply(t, ns, "us", sized("1Gi")), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	was, before := set(), pods(t, ns, "streamer")
	uids, _ := volumes(t, ns, "us")
	nodesBefore := pods(t, ns, "backbone")

	m = says(t, apply(t, ns, "us", sized("2Gi")), v1alpha1.ConditionStalled, "True", "Forbidden")
	if c := find(m, v1alpha1.ConditionStalled); !strings.Contains(c.Message, "PersistentVolumeClaim data-us-backbone-") || !strings.Contains(c.Message, "resize") {
		t.Error(c.Message)
	}
	if set() != was {
		t.Error("the StatefulSet was made again though its volumes did not grow")
	}
	for name, p := range nodesBefore {
		if now := pods(t, ns, "backbone")[name]; now == nil || now.UID != p.UID {
			t.Errorf("%s went", name)
		}
	}
	class.AllowVolumeExpansion = ptr.To(true)
	if err := admin.Update(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all ask for more", func() error {
		nudge(t, m, 1) // by itself it looks again after half a minute
		if _, asks := volumes(t, ns, "us"); len(asks) != 3 || asks["data-us-backbone-0"] != "2Gi" || asks["data-us-backbone-1"] != "2Gi" || asks["data-us-backbone-2"] != "2Gi" {
			return fmt.Errorf("%v", asks)
		}
		return nil
	})
	eventually(t, "the StatefulSet is another", func() error {
		var s appsv1.StatefulSet
		if err := admin.Get(t.Context(), key(ns, "us-backbone"), &s); err != nil {
			return err
		}
		if s.UID == was {
			return errorString("it is the same")
		}
		return nil
	})
	quiet(t, says(t, m, v1alpha1.ConditionReady, "True", "Serving"))
	if now, _ := volumes(t, ns, "us"); len(now) != 3 || now["data-us-backbone-0"] != uids["data-us-backbone-0"] || now["data-us-backbone-2"] != uids["data-us-backbone-2"] {
		t.Errorf("volumes %v, they were %v", now, uids)
	}
	for name, p := range before {
		if now := pods(t, ns, "streamer")[name]; now == nil || now.UID != p.UID {
			t.Errorf("%s is gone", name)
		}
	}
}
