package v1alpha1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// maxDocument bounds a document: 20,000 symbols of 32 characters fit several times over.
const maxDocument = 4 << 20

// Decode reads one MarketStream as YAML or JSON, strictly: an unknown field, one that stands
// twice or one of the wrong type is an error that names its path, its value and what would
// be right. It does not check values; see [Validate].
func Decode(data []byte) (*MarketStream, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("the document has %d bytes; at most %d are read", len(data), maxDocument)
	}
	if n := documents(data); n != 1 {
		return nil, fmt.Errorf("want one YAML document, found %d", n)
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, errors.New("not readable as YAML: " + oneLine(strings.TrimPrefix(err.Error(), "yaml: ")))
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
	if got, want := fmt.Sprint(top["apiVersion"], " ", top["kind"]), GroupVersion.String()+" "+Kind; got != want {
		return nil, fmt.Errorf("apiVersion and kind are %q; want %q", got, want)
	}
	m := &MarketStream{}
	if errs := checkTree(nil, tree, typeOf(m)); len(errs) > 0 {
		return nil, sentences(errs)
	}
	if err := json.Unmarshal(asJSON, m); err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	return m, nil
}

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

// sentences makes one error of several: one to a line, each "path: value: what is wrong".
func sentences(errs field.ErrorList) error {
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = e.Error()
	}
	return errors.New(strings.Join(lines, "\n"))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
