package kubetest

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mounted reads what the volumes of a pod's first container hold, as the kubelet does: whole, or not at all if
// something lacks that is not optional. Volumes that hold nothing of the API's are passed over.
func (n *Nodes) mounted(ctx context.Context, pod *corev1.Pod) (map[string]map[string][]byte, error) {
	files := map[string]map[string][]byte{}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		for _, v := range pod.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			held, err := n.volume(ctx, pod.Namespace, v.VolumeSource)
			if err != nil {
				return nil, fmt.Errorf("MountVolume.SetUp failed for volume %q: %w", v.Name, err)
			}
			if held != nil {
				files[m.MountPath] = held
			}
		}
	}
	return files, nil
}

func (n *Nodes) volume(ctx context.Context, namespace string, v corev1.VolumeSource) (map[string][]byte, error) {
	switch {
	case v.ConfigMap != nil:
		return n.configMap(ctx, namespace, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		return n.secret(ctx, namespace, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.Projected != nil:
		out := map[string][]byte{}
		for _, s := range v.Projected.Sources {
			var held map[string][]byte
			var err error
			switch {
			case s.ConfigMap != nil:
				held, err = n.configMap(ctx, namespace, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
			case s.Secret != nil:
				held, err = n.secret(ctx, namespace, s.Secret.Name, s.Secret.Items, s.Secret.Optional)
			}
			if err != nil {
				return nil, err
			}
			for k, data := range held {
				out[k] = data
			}
		}
		return out, nil
	case v.PersistentVolumeClaim != nil:
		c, err := n.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err == nil && c.Status.Phase != corev1.ClaimBound {
			err = fmt.Errorf("persistentvolumeclaim %q is not bound", c.Name)
		}
		return nil, err
	}
	return nil, nil
}

func (n *Nodes) configMap(ctx context.Context, namespace, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	got, err := n.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return map[string][]byte{}, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for k, v := range got.Data {
		all[k] = []byte(v)
	}
	for k, v := range got.BinaryData {
		all[k] = v
	}
	return chosen(all, items, optional)
}

func (n *Nodes) secret(ctx context.Context, namespace, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	got, err := n.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return map[string][]byte{}, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for k, v := range got.Data {
		all[k] = v
	}
	return chosen(all, items, optional)
}

// chosen are the keys that a volume names, or all.
func chosen(all map[string][]byte, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	if len(items) == 0 {
		return all, nil
	}
	out := map[string][]byte{}
	for _, i := range items {
		data, ok := all[i.Key]
		if !ok && (optional == nil || !*optional) {
			return nil, fmt.Errorf("references non-existent key: %s", i.Key)
		}
		if ok {
			out[i.Path] = data
		}
	}
	return out, nil
}

// provision binds a claim to a volume that nobody made, and grows it to what it asks for, as a provisioner would.
func (n *Nodes) provision(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	want := c.Spec.Resources.Requests[corev1.ResourceStorage]
	has := c.Status.Capacity[corev1.ResourceStorage]
	if c.DeletionTimestamp != nil || c.Status.Phase == corev1.ClaimBound && has.Cmp(want) >= 0 {
		return nil
	}
	claims := n.client.CoreV1().PersistentVolumeClaims(c.Namespace)
	if c.Spec.VolumeName == "" {
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"volumeName":"kubetest-%s"}}`, c.UID, c.UID)
		if _, err := claims.Patch(ctx, c.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"status":{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{"storage":%q}}}`, c.UID, want.String())
	_, err := claims.Patch(ctx, c.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
