package local

import (
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	const info = `22 1 8:1 / / rw - ext4 /dev/vda rw
30 22 0:30 / /var/lib/c/n1/kubelet/pods/a/volumes/token rw - tmpfs tmpfs rw
31 22 0:31 / /var/lib/c/n1 rw - tmpfs tmpfs rw
32 22 0:31 / /var/lib/cc/n1 rw - tmpfs tmpfs rw
33 22 0:31 / /var/lib/c/with\040blank rw - tmpfs tmpfs rw
`
	want := []string{"/var/lib/c/with blank", "/var/lib/c/n1/kubelet/pods/a/volumes/token", "/var/lib/c/n1"}
	if got := mountsBelow(info, "/var/lib/c"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
