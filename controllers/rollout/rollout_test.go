package rollout

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/controllers/observed"
)

var rewrite = flag.Bool("rewrite", false, "write the goldens anew")

// golden holds text against testdata/<name>.txt: the decisions of all cases, and why.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is another (-rewrite writes it anew; read the difference):\n%s", file, text)
	}
}

const newest = "2 img:2 s"

func trace(b *strings.Builder, name, what string, why []string) {
	fmt.Fprintf(b, "%s\n  %s\n", name, what)
	for _, w := range why {
		fmt.Fprintf(b, "  because %s\n", w)
	}
}

// streamers is a Deployment of pods that are well, changed by fn.
func streamers(n int, fn func(*observed.Workload)) *observed.Workload {
	w := &observed.Workload{Exists: true, Template: 2, Image: "img:2", Shape: "s", Current: newest, Replicas: int32(n), Settled: true}
	for i := range n {
		w.Pods = append(w.Pods, observed.Pod{Name: fmt.Sprintf("us-%d", i), UID: fmt.Sprint(i), Revision: newest, Ready: true, Running: true, Report: &podreport.Report{}})
	}
	if fn != nil {
		fn(w)
	}
	return w
}

func wanted(n int32, fn func(*Want)) *Want {
	w := &Want{Own: "img:2", Shape: "s", Replicas: n, Newest: 2}
	if fn != nil {
		fn(w)
	}
	return w
}

func TestStreamers(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name string
		live *observed.Workload
		want *Want
	}{
		{"a new stream", &observed.Workload{}, wanted(2, nil)},
		{"a new stream with an image of its own", &observed.Workload{}, wanted(2, func(w *Want) { w.Image = "mine:1" })},
		{"nothing changed", streamers(2, nil), wanted(2, nil)},
		{"the operator was upgraded", streamers(2, nil), wanted(2, func(w *Want) { w.Own, w.Newest = "img:3", 3 })},
		{"the operator was upgraded, and pods follow", streamers(2, nil), wanted(2, func(w *Want) { w.Own, w.Newest, w.Follow = "img:3", 3, true })},
		{"the operator was upgraded before a pod-shaped change", streamers(2, nil), wanted(2, func(w *Want) { w.Own, w.Newest, w.Shape = "img:3", 3, "t" })},
		{"another image", streamers(2, nil), wanted(2, func(w *Want) { w.Image = "mine:2" })},
		{"the image that it has is named", streamers(2, nil), wanted(2, func(w *Want) { w.Image = "img:2" })},
		{"a bad image is taken back", streamers(2, func(w *observed.Workload) { w.Image, w.Named = "bad:1", true }), wanted(2, nil)},
		{"the name of the image goes away after an upgrade", streamers(2, func(w *observed.Workload) { w.Named = true }), wanted(2, func(w *Want) { w.Own = "img:3" })},
		{"the operator was upgraded and taken back", streamers(2, func(w *observed.Workload) { w.Template, w.Image = 3, "img:3" }), wanted(2, nil)},
		{"the operator was upgraded and taken back, and pods follow", streamers(2, func(w *observed.Workload) { w.Template, w.Image = 3, "img:3" }), wanted(2, func(w *Want) { w.Follow = true })},
		{"annotations were taken away", streamers(2, func(w *observed.Workload) { w.Template, w.Image, w.Shape = 0, "", "" }), wanted(2, nil)},
		{"scale out", streamers(2, nil), wanted(8, nil)},
		{"scale in", streamers(8, nil), wanted(2, nil)},
		{"scale in while one goes", streamers(7, func(w *observed.Workload) { w.Replicas, w.Pods[6].Leaving = 6, true }), wanted(2, nil)},
		{"scale in before the last step is seen", streamers(7, func(w *observed.Workload) { w.Replicas = 6 }), wanted(2, nil)},
		{"scale in while one drains", streamers(6, func(w *observed.Workload) { w.Pods[0].Report.Draining = true }), wanted(2, nil)},
		{"scale in, the controller is behind", streamers(6, func(w *observed.Workload) { w.Settled = false }), wanted(2, nil)},
		{"hibernate", streamers(1, nil), wanted(0, nil)},
		{"wake", streamers(0, nil), wanted(3, nil)},
		{"scale in and roll", streamers(3, nil), wanted(2, func(w *Want) { w.Shape = "t" })},
	} {
		d := Streamers(c.live, c.want)
		trace(&b, c.name, fmt.Sprintf("template %d, image %s, %d pods, rolls %t", d.Template, d.Image, d.Replicas, d.Rolls), d.Why)
	}
	golden(t, "streamers", b.String())
}

func TestDocument(t *testing.T) {
	live := observed.Config{Exists: true, Document: "a", Revision: "ra", CreatedMs: 5, Generation: 3}
	var b strings.Builder
	for _, c := range []struct {
		name  string
		live  observed.Config
		doc   Doc
		known int
	}{
		{"none yet", observed.Config{}, Doc{Text: "a", Revision: "ra", CreatedMs: 5, Generation: 1, Level: 1}, 0},
		{"the spec changed and the document did not", live, Doc{Text: "a", Revision: "ra", CreatedMs: 5, Generation: 9, Level: 1}, 1},
		{"a symbol more", live, Doc{Text: "b", Revision: "rb", CreatedMs: 5, Generation: 9, Level: 1}, 1},
		{"a field that the image does not know", live, Doc{Text: "b", Revision: "rb", CreatedMs: 5, Generation: 9, Level: 2}, 1},
		{"the same, and nobody has reported", live, Doc{Text: "b", Revision: "rb", CreatedMs: 5, Generation: 9, Level: 2}, 0},
		{"a stream made again under its name", live, Doc{Text: "a", Revision: "ra", CreatedMs: 7, Generation: 1, Level: 1}, 1},
		{"the generation was taken out of the ConfigMap", observed.Config{Exists: true, Document: "a", Revision: "ra"}, Doc{Text: "a", Revision: "ra", CreatedMs: 5, Generation: 9, Level: 1}, 1},
	} {
		d := Document(&c.live, &c.doc, c.known)
		trace(&b, c.name, fmt.Sprintf("document %q of generation %d (created %d), held %t, reloads %t", d.Text, d.Generation, d.CreatedMs, d.Held, d.Reloads), d.Why)
	}
	golden(t, "document", b.String())
}

// nodes is a backbone of n nodes that are well, changed by fn.
func nodes(n int, fn func(*observed.Workload)) *observed.Workload {
	w := streamers(n, nil)
	for i := range w.Pods {
		w.Pods[i].Name, w.Pods[i].Report = fmt.Sprintf("us-backbone-%d", i), nil
		w.Pods[i].Node = &podreport.Node{Replicas: n, Ready: true, Doing: "serves"}
	}
	if fn != nil {
		fn(w)
	}
	return w
}

func stale(w *observed.Workload, pods ...int) {
	w.Current = "3 img:2 t"
	for _, i := range pods {
		w.Pods[i].Revision = newest
	}
	for i := range w.Pods {
		found := false
		for _, p := range pods {
			found = found || p == i
		}
		if !found {
			w.Pods[i].Revision = w.Current
		}
	}
}

func TestBackbone(t *testing.T) {
	var b strings.Builder
	same := streamers(2, nil)
	for _, c := range []struct {
		name string
		live *observed.Workload
		want *Want
		pods *observed.Workload
		own  string // image that was decided for streamers
	}{
		{"a new stream", &observed.Workload{}, wanted(3, nil), &observed.Workload{}, "img:2"},
		{"nothing changed", nodes(3, nil), wanted(3, nil), same, "img:2"},
		{"the streamers get a new image", nodes(3, nil), wanted(3, nil), streamers(2, func(w *observed.Workload) { w.Image, w.Current = "img:3", "2 img:3 s" }), "img:3"},
		{"the streamers have the new image", nodes(3, nil), wanted(3, nil), streamers(2, func(w *observed.Workload) { w.Image = "img:3" }), "img:3"},
		{"nodes follow, and the streamers have not the new image yet", nodes(3, nil), wanted(3, func(w *Want) { w.Own, w.Newest, w.Follow = "img:3", 3, true }), same, "img:3"},
		{"nodes follow, and the streamers have it", nodes(3, nil), wanted(3, func(w *Want) { w.Own, w.Newest, w.Follow = "img:3", 3, true }), streamers(2, func(w *observed.Workload) { w.Image = "img:3" }), "img:3"},
		{"nodes follow a template of the same image", nodes(3, nil), wanted(3, func(w *Want) { w.Newest, w.Follow = 3, true }), same, "img:2"},
		{"a pod-shaped change of nodes while the streamers have not the new image yet", nodes(3, nil), wanted(3, func(w *Want) { w.Own, w.Newest, w.Shape = "img:3", 3, "t" }), same, "img:3"},
		{"the template changed", nodes(3, func(w *observed.Workload) { stale(w, 0, 1, 2) }), wanted(3, nil), same, "img:2"},
		{"the last is new, and not ready", nodes(3, func(w *observed.Workload) { stale(w, 0, 1); w.Pods[2].Ready = false }), wanted(3, nil), same, "img:2"},
		{"the last is new and ready", nodes(3, func(w *observed.Workload) { stale(w, 0, 1) }), wanted(3, nil), same, "img:2"},
		{"the last is on its way out", nodes(3, func(w *observed.Workload) { stale(w, 0, 1, 2); w.Pods[2].Leaving = true }), wanted(3, nil), same, "img:2"},
		{"one is missing", nodes(3, func(w *observed.Workload) { stale(w, 0, 1); w.Pods = w.Pods[:2] }), wanted(3, nil), same, "img:2"},
		{"the last is stuck with the image of before", nodes(3, func(w *observed.Workload) {
			stale(w, 2)
			w.Pods[2].Ready, w.Pods[2].Stuck = false, "ImagePullBackOff: x"
		}), wanted(3, nil), same, "img:2"},
		{"another is not ready", nodes(3, func(w *observed.Workload) { stale(w, 0, 1, 2); w.Pods[0].Ready = false }), wanted(3, nil), same, "img:2"},
		{"alone, and the template changed", nodes(1, func(w *observed.Workload) { stale(w, 0) }), wanted(1, nil), same, "img:2"},
		{"1 → 3: asked for", nodes(1, nil), wanted(3, nil), same, "img:2"},
		{"1 → 3: the others do not run yet", nodes(3, func(w *observed.Workload) {
			stale(w, 0)
			w.Pods[0].Node.Replicas, w.Pods[1].Running, w.Pods[1].Ready, w.Pods[2].Ready = 1, false, false, false
		}), wanted(3, nil), same, "img:2"},
		{"1 → 3: the others run", nodes(3, func(w *observed.Workload) {
			stale(w, 0)
			w.Pods[0].Node.Replicas, w.Pods[1].Ready, w.Pods[2].Ready = 1, false, false
		}), wanted(3, nil), same, "img:2"},
		{"1 → 3: the first moves", nodes(3, func(w *observed.Workload) {
			stale(w)
			w.Pods[0].Node.Replicas, w.Pods[0].Node.Moving, w.Pods[0].Ready, w.Pods[1].Ready, w.Pods[2].Ready = 1, "copying BARS", false, false, false
		}), wanted(3, nil), same, "img:2"},
		{"1 → 3: done", nodes(3, func(w *observed.Workload) { stale(w) }), wanted(3, nil), same, "img:2"},
		{"3 → 1: asked for", nodes(3, nil), wanted(1, nil), same, "img:2"},
		{"3 → 1: the first has its template of before", nodes(3, func(w *observed.Workload) { stale(w, 0, 1, 2) }), wanted(1, nil), same, "img:2"},
		{"3 → 1: the first moves", nodes(3, func(w *observed.Workload) {
			stale(w, 1, 2)
			w.Pods[0].Ready, w.Pods[0].Node.Moving = false, "restoring"
		}), wanted(1, nil), same, "img:2"},
		{"3 → 1: the first has moved", nodes(3, func(w *observed.Workload) { stale(w, 1, 2); w.Pods[0].Node.Replicas = 1 }), wanted(1, nil), same, "img:2"},
		{"3 → 1: done", nodes(1, nil), wanted(1, nil), same, "img:2"},
	} {
		d := Backbone(c.live, c.want, &Decision{Image: c.own}, c.pods)
		trace(&b, c.name, fmt.Sprintf("template %d, image %s, %d pods told to be %d, rolls %t, goes %q, moving %q", d.Template, d.Image, d.Replicas, d.Nodes, d.Rolls, d.Delete, d.Moving), d.Why)
	}
	golden(t, "backbone", b.String())
}

func TestVolumes(t *testing.T) {
	var b strings.Builder
	live := nodes(3, func(w *observed.Workload) { w.Size = 10 })
	for _, c := range []struct {
		name   string
		claims []observed.Volume
		size   int64
	}{
		{"the same", nil, 10},
		{"a smaller one, which the API refuses", nil, 5},
		{"two of them are to grow", []observed.Volume{{Name: "data-0", Requested: 10}, {Name: "data-1", Requested: 20}, {Name: "data-2", Requested: 10}}, 20},
		{"all ask for more", []observed.Volume{{Name: "data-0", Requested: 20}}, 20},
	} {
		g := Volumes(live, c.claims, c.size)
		trace(&b, c.name, fmt.Sprintf("claims %v, made again %t", g.Claims, g.Remake), g.Why)
	}
	golden(t, "volumes", b.String())
}

// TestStuck: only a pod of a template of before goes, and only while it does not come up.
func TestStuck(t *testing.T) {
	w := streamers(4, func(w *observed.Workload) {
		stale(w, 0, 1, 2)
		w.Pods[0].Ready, w.Pods[0].Stuck = false, "ImagePullBackOff: x"
		w.Pods[1].Ready = false // starts
		w.Pods[3].Ready, w.Pods[3].Stuck = false, "ImagePullBackOff: y"
	})
	if got := fmt.Sprint(Stuck(w)); got != "[us-0]" {
		t.Error(got)
	}
}
