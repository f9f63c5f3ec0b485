package rollout

import (
	"fmt"

	"github.com/marketstream/marketstream/controllers/observed"
)

// Want is what is wanted of a workload.
type Want struct {
	// Image of the spec; empty: it names none, and Own is meant.
	Image string
	// Own is the image of the operator's release.
	Own string
	// Shape is the hash of the fields that shape a pod.
	Shape    string
	Replicas int32
	// Follow: take new templates and images at once.
	Follow bool
	// Newest is the revision of the newest template.
	Newest int
}

func (w *Want) image() string {
	if w.Image != "" {
		return w.Image
	}
	return w.Own
}

// Decision is what a workload is to be.
type Decision struct {
	Template int
	Image    string
	Replicas int32
	// Rolls: its pods are made anew.
	Rolls bool
	Why   []string
}

func (d *Decision) say(format string, args ...any) {
	d.Why = append(d.Why, fmt.Sprintf(format, args...))
}

// Streamers decides what the streamers' Deployment is to be.
func Streamers(live *observed.Workload, want *Want) Decision {
	d := template(live, want)
	d.Replicas = replicas(&d, live, want.Replicas)
	return d
}

// template decides the template and image of a workload.
func template(live *observed.Workload, want *Want) Decision {
	d := Decision{Template: live.Template, Image: live.Image}
	newest := func(rolls bool, format string, args ...any) {
		d.say(format, args...)
		d.Template, d.Image, d.Rolls = want.Newest, want.image(), rolls
	}
	switch {
	case !live.Exists:
		newest(false, "made: template %d, image %s", want.Newest, want.image())
	case live.Template == 0 || live.Image == "":
		newest(true, "template %d, image %s: what it was built for is not known", want.Newest, want.image())
	case want.Shape != live.Shape:
		newest(true, "rolls: a field that shapes pods changed")
	case want.Image != "" && want.Image != live.Image:
		newest(true, "rolls: the image is to be %s, not %s", want.Image, live.Image)
	case want.Image == "" && live.Named:
		newest(want.Own != live.Image || want.Newest != live.Template, "the spec names no image any more: it is to be %s", want.Own)
	case want.Follow && (live.Template != want.Newest || live.Image != want.image()):
		newest(true, "rolls: it follows the operator's template %d and image %s", want.Newest, want.image())
	case live.Template > want.Newest:
		d.say("rolls: template %d is a newer operator's, and cannot be built here; template %d, with the image that runs", live.Template, want.Newest)
		d.Template, d.Rolls = want.Newest, true
	case live.Template != want.Newest || live.Image != want.image():
		d.say("stays on template %d and image %s, pinned; the newest are %d and %s", live.Template, live.Image, want.Newest, want.image())
	}
	return d
}

// replicas decides how many pods there are to be: more at once, fewer one at a time.
func replicas(d *Decision, live *observed.Workload, want int32) int32 {
	switch {
	case !live.Exists || want == live.Replicas:
		return want
	case want > live.Replicas:
		d.say("scales out from %d to %d", live.Replicas, want)
		return want
	}
	if leaving := len(live.Pods) - len(live.Staying()); leaving > 0 {
		d.say("scales in from %d to %d, one at a time: %d on its way out", live.Replicas, want, leaving)
		return live.Replicas
	}
	if len(live.Pods) > int(live.Replicas) || !live.Settled {
		d.say("scales in from %d to %d, one at a time: the last step is not seen yet", live.Replicas, want)
		return live.Replicas
	}
	for _, p := range live.Pods {
		if p.Report != nil && p.Report.Draining {
			d.say("scales in from %d to %d, one at a time: %s drains", live.Replicas, want, p.Name)
			return live.Replicas
		}
	}
	d.say("scales in from %d to %d, one at a time", live.Replicas, want)
	return live.Replicas - 1
}
