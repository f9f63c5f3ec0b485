package rollout

import (
	"fmt"

	"github.com/marketstream/marketstream/controllers/observed"
)

// Doc is the document that the spec makes.
type Doc struct {
	Text       string
	Revision   string
	CreatedMs  int64
	Generation int64 // of the object
	// Level of the schema that it needs.
	Level int
}

// DocumentDecision is which document the pods are to run.
type DocumentDecision struct {
	Text      string
	Revision  string
	CreatedMs int64
	// Generation at which the document last changed.
	Generation int64
	// Held: the image that runs does not know a field; the document before it stays.
	Held bool
	// Reloads: the document is another than that of before.
	Reloads bool
	Why     []string
}

// Document decides which document the pods are to run, and of which generation it is. known is the
// lowest level of the schema that the streamers report; 0: none reported.
func Document(live *observed.Config, doc *Doc, known int) DocumentDecision {
	d := DocumentDecision{Text: doc.Text, Revision: doc.Revision, CreatedMs: doc.CreatedMs, Generation: doc.Generation}
	switch {
	case !live.Exists:
		d.Why = append(d.Why, "the document is made, generation "+fmt.Sprint(doc.Generation))
	case live.Document == doc.Text && live.CreatedMs == doc.CreatedMs && live.Generation > 0:
		d.Generation = live.Generation
	case known > 0 && known < doc.Level && live.CreatedMs == doc.CreatedMs:
		d.Why = append(d.Why, fmt.Sprintf("held: the document needs level %d of the schema and the image knows %d", doc.Level, known))
		d.Text, d.Revision, d.Generation, d.Held = live.Document, live.Revision, live.Generation, true
	default:
		d.Reloads = true
		d.Why = append(d.Why, fmt.Sprintf("reloads: the document of generation %d is %s, that of generation %d was %s", doc.Generation, doc.Revision, live.Generation, live.Revision))
	}
	return d
}
