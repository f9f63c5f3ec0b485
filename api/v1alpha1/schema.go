package v1alpha1

// SchemaLevel is the newest level of this API that this build knows. Streamers report it, and the operator
// hands no pod a field of a higher one.
//
// It rises by one with the first field, enumeration value or form of a value that a release adds to what streamers
// read and that an image of the release before would refuse; all that one release adds shares its level. A field that
// goes, a wider bound or another default does not raise it.
const SchemaLevel = 1

// newer are the fields that came after level 1: a document that uses one needs its level.
var newer []struct {
	level int
	used  func(*MarketStreamSpec) bool
}

// Level is the level of the API that a streamer must know to run this document.
func (m *MarketStream) Level() int {
	level := 1
	for _, f := range newer {
		if f.level > level && f.used(&m.Spec) {
			level = f.level
		}
	}
	return level
}
