package marketstream

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// TestSent: the same is not applied again over what the cache shows from before; over anything newer, and over another object of
// the same name, it is.
func TestSent(t *testing.T) {
	shown := func(version string, uid types.UID, generation int64) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetResourceVersion(version)
		u.SetUID(uid)
		u.SetGeneration(generation)
		return u
	}
	var s sent
	stream, at := types.NamespacedName{Name: "a"}, id{}
	s.note(stream, at, sending{hash: "h", over: "10", uid: "u", generation: 4})
	for _, c := range []struct {
		name string
		hash string
		live *unstructured.Unstructured
		want bool
	}{
		{"as it was", "h", shown("10", "u", 3), true},
		{"its status was written before ours came", "h", shown("11", "u", 3), true},
		{"ours", "h", shown("12", "u", 4), false},
		{"somebody's change of ours", "h", shown("13", "u", 5), false},
		{"something else is wanted", "g", shown("10", "u", 3), false},
		{"made anew", "h", shown("14", "v", 1), false},
	} {
		if got := s.is(stream, at, c.hash, c.live); got != c.want {
			t.Errorf("%s: sent already: %v, want %v", c.name, got, c.want)
		}
	}
	s.note(stream, at, sending{hash: "h", over: "10"}) // a kind without generations
	if s.is(stream, at, "h", shown("11", "", 0)) {
		t.Error("a version that was not applied over passes for one")
	}
}
