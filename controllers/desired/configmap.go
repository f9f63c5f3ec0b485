package desired

import (
	"fmt"

	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// configMap is what streamers read, and the place of this version of it among all.
func configMap(p *plan) *Object {
	c := corev1.ConfigMap(ConfigName(p.name), p.Stream.Namespace).WithData(map[string]string{
		KeyDocument:   string(p.document),
		KeyGeneration: fmt.Sprintf(`{"createdMs":%d,"generation":%d}`, p.Generation.CreatedMs, p.Generation.Generation),
		KeySalt:       p.FingerprintSalt,
	})
	c.ObjectMetaApplyConfiguration = p.meta(ConfigName(p.name), ComponentConfig)
	return object("", "v1", "ConfigMap", c.ObjectMetaApplyConfiguration, c)
}
