package v1alpha1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// maxDocument bounds a document: 20,000 symbols of 32 characters fit several times over.
const maxDocument = 4 << 20

// Mistakes are what is wrong with a document, a line for each: the path, the value, and what
// would be right.
//
// +kubebuilder:object:generate=false
type Mistakes []string

// Error is the lines.
func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// AsMistakes returns the mistakes that err is, or else err as one.
func AsMistakes(err error) Mistakes {
	var m Mistakes
	if errors.As(err, &m) {
		return m
	}
	return Mistakes{oneLine(err.Error())}
}

// Decode reads one MarketStream as YAML or JSON, strictly: an unknown field, one that stands
// twice or one of the wrong type is an error that names its path, its value and what would
// be right. It does not check values; see [Validate].
func Decode(data []byte) (*MarketStream, error) {
	r, err := read(data)
	switch {
	case err != nil:
		return nil, err
	case len(r.mistakes) > 0:
		return nil, r.mistakes
	}
	return r.object, nil
}

// DecodeRunnable reads a MarketStream that is to run somewhere, and tells all that is wrong with
// it at once: what [Decode], [Validate] and [CheckRunnable] find, as [Mistakes]. ignored are the
// paths of fields that have no effect there.
func DecodeRunnable(data []byte, where Place) (m *MarketStream, ignored []string, err error) {
	r, err := read(data)
	if err != nil {
		return nil, nil, AsMistakes(err)
	}
	ignored, missing := runnable(r.object, where)
	all := append(missing[:len(missing):len(missing)], r.mistakes...) // first what no change of a value mends
	if len(all) <= mostMistakes {
		for _, e := range Validate(r.object) {
			if !r.about(e) {
				all = append(all, e.Error())
			}
		}
	}
	if len(missing) > 0 && len(all) == len(missing) {
		return nil, nil, notAvailable{missing}
	}
	if n := len(all) - mostMistakes; n > 0 {
		all = append(all[:mostMistakes], fmt.Sprintf("and at least %d more", n))
	}
	if len(all) > 0 {
		return nil, nil, all
	}
	return r.object, ignored, nil
}

// mostMistakes are told of one document: 20,000 symbols may each have one.
const mostMistakes = 100

// reading is a document as far as it can be read.
//
// +kubebuilder:object:generate=false
type reading struct {
	object   *MarketStream // without the fields that are wrong
	mistakes Mistakes
	wrong    []string // the paths of those fields
}

// about reports whether e is about a field that was left out because it cannot be read: that was
// said. What lacks something is also said where a field in it has a name that nobody knows.
func (r *reading) about(e *field.Error) bool {
	return slices.ContainsFunc(r.wrong, func(path string) bool {
		return inside(e.Field, path) || e.Type == field.ErrorTypeRequired && inside(path, e.Field)
	})
}

// inside reports whether path is outer or lies in it.
func inside(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// read reads a document, without the fields that are wrong. The error is for one of which nothing
// can be read.
func read(data []byte) (*reading, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("the document has %d bytes; at most %d are read", len(data), maxDocument)
	}
	if n := documents(data); n != 1 {
		return nil, fmt.Errorf("want one YAML document, found %d", n)
	}
	r := &reading{object: &MarketStream{}}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil { // a key that stands twice hides nothing else
		said := strings.TrimPrefix(err.Error(), "yaml: ")
		if asJSON, err = yaml.YAMLToJSON(data); err != nil {
			return nil, errors.New("not readable as YAML: " + oneLine(said))
		}
		r.mistakes = twice(said)
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("not readable as a document: %w", err)
	}
	top, ok := tree.(map[string]any)
	if !ok {
		return nil, errors.New("want a mapping with apiVersion, kind, metadata and spec at the top of the document")
	}
	if err := checkKind(top); err != nil {
		return nil, err
	}
	errs := checkTree(nil, tree, typeOf(r.object))
	paths := make(map[string]bool, len(errs))
	for _, e := range errs {
		paths[e.Field] = true
		r.mistakes = append(r.mistakes, e.Error())
		r.wrong = append(r.wrong, e.Field)
	}
	if len(errs) > 0 {
		if asJSON, err = json.Marshal(without(tree, "", paths)); err != nil {
			return nil, fmt.Errorf("not readable as a document: %w", err)
		}
	}
	if err := json.Unmarshal(asJSON, r.object); err != nil {
		return nil, append(r.mistakes, oneLine(err.Error()))
	}
	return r, nil
}

// checkKind refuses what is no MarketStream of this version: of another object nothing else is looked at.
func checkKind(top map[string]any) error {
	var wrong Mistakes
	for _, x := range [...]struct{ name, want string }{{"apiVersion", GroupVersion.String()}, {"kind", Kind}} {
		switch got, there := top[x.name]; {
		case !there || got == nil:
			wrong = append(wrong, fmt.Sprintf("%s: Required value: want %s", x.name, x.want))
		case got != x.want:
			wrong = append(wrong, field.Invalid(field.NewPath(x.name), shown(got), "want "+x.want).Error())
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// twice makes a mistake of each line about a key that stands twice.
func twice(said string) (out Mistakes) {
	for line := range strings.Lines(said) {
		if m := setTwice.FindStringSubmatch(line); m != nil {
			out = append(out, fmt.Sprintf("line %s: %s stands twice in one mapping; want it once", m[1], m[2]))
		}
	}
	if len(out) == 0 {
		out = Mistakes{"not readable as YAML: " + oneLine(said)}
	}
	return out
}

var setTwice = regexp.MustCompile(`line ([0-9]+): key (".*") already set`)

// documents counts the YAML documents that hold anything.
func documents(data []byte) int {
	n, holds := 0, false
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, " \t\r\n")
		switch {
		case bytes.Equal(text, []byte("---")) || bytes.HasPrefix(text, []byte("--- ")):
			if holds {
				n++
			}
			holds = len(text) > 4
		case len(text) > 0 && bytes.TrimLeft(text, " \t")[0] != '#':
			holds = true
		}
	}
	if holds {
		n++
	}
	return n
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
