package rollout

import (
	"fmt"
	"strings"

	"github.com/marketstream/marketstream/controllers/observed"
)

// BackboneDecision is what the backbone's StatefulSet is to be, and the node that is to go next.
type BackboneDecision struct {
	Decision
	// Nodes that the servers are told to be: 1 or 3. Replicas counts the pods, which are three
	// while a move from three to one is under way.
	Nodes int32
	// Delete names a pod that is to go, so that it comes again with the newest template; empty: none.
	Delete string
	// Moving says what a move between one node and three waits for; empty: nothing moves.
	Moving string
}

// Backbone decides what the backbone is to be. want.Replicas are the nodes; streamers is what was
// decided of the streamers, whose image the nodes get once all of them run it.
func Backbone(live *observed.Workload, want *Want, streamers *Decision, pods *observed.Workload) BackboneDecision {
	var d BackboneDecision
	shape := *want
	shape.Image, shape.Own = "", live.Image // the image is for the streamers to have first
	if !live.Exists || live.Image == "" {
		shape.Own = streamers.Image
	}
	waits := live.Exists && live.Image != "" && streamers.Image != live.Image &&
		(!pods.Exists || pods.Image != streamers.Image || !pods.Done())
	if waits && live.Template > 0 && live.Template < want.Newest { // a newer template comes with the image: nodes roll once
		shape.Newest = live.Template
	}
	d.Decision = template(live, &shape)
	d.Nodes, d.Replicas = want.Replicas, want.Replicas
	if !live.Exists {
		return d
	}
	d.image(live, want, streamers, waits)
	d.move(live)
	d.next(live)
	return d
}

// image has the nodes wait for the streamers.
func (d *BackboneDecision) image(live *observed.Workload, want *Want, streamers *Decision, waits bool) {
	if streamers.Image == live.Image || live.Image == "" {
		return
	}
	if !waits {
		d.say("rolls: every streamer runs %s", streamers.Image)
		d.Image, d.Template, d.Rolls = streamers.Image, want.Newest, true
		return
	}
	d.say("keeps image %s until every streamer runs %s and is ready", live.Image, streamers.Image)
}

// move drives the move between one node and three: from one to three, two more pods come and the
// first, told to be of three, moves; from three to one the first, told to be alone, moves while
// the others run, and they go once it has.
func (d *BackboneDecision) move(live *observed.Workload) {
	first := pod(live, "-0")
	whole := first != nil && first.Ready && first.Node != nil && first.Node.Replicas == int(d.Nodes) && first.Node.Moving == ""
	switch {
	case d.Nodes == 1 && live.Replicas == 3 && !whole:
		d.Replicas = 3
		d.Moving = "3 → 1: " + doing(first)
		d.say("moves from 3 nodes to 1: the others stay until the first has everything")
	case d.Nodes == 1 && live.Replicas == 3:
		d.say("moved from 3 nodes to 1: the others go")
	case d.Nodes == 3 && (live.Replicas == 1 || !whole):
		if first != nil && first.Node != nil && first.Node.Replicas == 1 || live.Replicas == 1 {
			d.Moving = "1 → 3: " + doing(first)
			d.say("moves from 1 node to 3")
		}
	}
}

func doing(p *observed.Pod) string {
	switch {
	case p == nil:
		return "the first node is not there"
	case p.Node == nil:
		return "the first node has not reported"
	case p.Node.Moving != "":
		return p.Node.Moving
	}
	return p.Node.Doing
}

// next names the node that is to go for the newest template: none while another is not well, the
// last first; in a move the first node, once the others run.
func (d *BackboneDecision) next(live *observed.Workload) {
	if !live.Settled || d.Replicas < live.Replicas { // those that go take no template
		return
	}
	var stale []*observed.Pod
	for i := range live.Pods {
		p := &live.Pods[i]
		if p.Leaving {
			d.say("%s is on its way out", p.Name)
			return
		}
		if !live.Fresh(p) {
			stale = append(stale, p)
		}
	}
	if len(stale) == 0 {
		return
	}
	if d.Moving != "" {
		for _, p := range stale {
			if strings.HasSuffix(p.Name, "-0") && len(live.Pods) == 3 && othersRun(live, p) {
				d.say("%s goes: it moves when it comes again", p.Name)
				d.Delete = p.Name
			}
		}
		return
	}
	// One that does not come up with its old template is no loss, whatever the others do.
	for _, p := range stale {
		if !p.Ready && p.Stuck != "" {
			d.say("%s goes: it is stuck (%s) with a template of before", p.Name, p.Stuck)
			d.Delete = p.Name
			return
		}
	}
	last := stale[len(stale)-1]
	for i := range live.Pods {
		if p := &live.Pods[i]; !p.Ready && p != last {
			d.say("%s waits for the newest template until %s is ready", last.Name, p.Name)
			return
		}
	}
	if len(live.Pods) < int(live.Replicas) {
		d.say("%s waits for the newest template until all %d nodes are there", last.Name, live.Replicas)
		return
	}
	d.say("%s goes, for the newest template", last.Name)
	d.Delete = last.Name
}

func othersRun(live *observed.Workload, but *observed.Pod) bool {
	for i := range live.Pods {
		if p := &live.Pods[i]; p != but && !p.Running {
			return false
		}
	}
	return true
}

func pod(live *observed.Workload, suffix string) *observed.Pod {
	for i := range live.Pods {
		if strings.HasSuffix(live.Pods[i].Name, suffix) {
			return &live.Pods[i]
		}
	}
	return nil
}

// Growth is what volumes need.
type Growth struct {
	// Claims that are to ask for more.
	Claims []string
	// Remake: the StatefulSet is to be made again, its pods left as they are: its template of
	// volumes cannot change.
	Remake bool
	Why    []string
}

// Volumes decides which claims are to grow to size bytes.
func Volumes(live *observed.Workload, claims []observed.Volume, size int64) Growth {
	var g Growth
	if !live.Exists || size <= live.Size {
		return g
	}
	for _, v := range claims {
		if v.Requested < size {
			g.Claims = append(g.Claims, v.Name)
			g.Why = append(g.Why, fmt.Sprintf("%s grows from %d to %d bytes", v.Name, v.Requested, size))
		}
	}
	if len(g.Claims) == 0 {
		g.Remake = true
		g.Why = append(g.Why, "the StatefulSet is made again around its pods: its volumes ask for more")
	}
	return g
}

// Stuck names the streamers that are to go, once each: they do not come up, with a template of
// before, and would be in the way of a better one.
func Stuck(live *observed.Workload) []string {
	var out []string
	if !live.Settled {
		return nil
	}
	for i := range live.Pods {
		if p := &live.Pods[i]; !p.Leaving && !p.Ready && p.Stuck != "" && live.Current != "" && !live.Fresh(p) {
			out = append(out, p.Name)
		}
	}
	return out
}
