package desired

import (
	"crypto/sha256"
	"encoding/hex"
	stdjson "encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"
)

// Object is an object as it is to be applied.
type Object struct {
	Kind      schema.GroupVersionKind
	Namespace string
	Name      string
	// Config is a typed apply configuration, or a map where there is none.
	Config any
}

// object makes an Object of an apply configuration whose metadata is meta.
func object(group, version, kind string, meta *metav1.ObjectMetaApplyConfiguration, config any) *Object {
	return &Object{Kind: schema.GroupVersionKind{Group: group, Version: version, Kind: kind},
		Namespace: *meta.Namespace, Name: *meta.Name, Config: config}
}

// custom makes an Object of a kind that has no apply configuration here.
func custom(group, version, kind string, meta *metav1.ObjectMetaApplyConfiguration, spec map[string]any) *Object {
	return object(group, version, kind, meta, map[string]any{
		"apiVersion": schema.GroupVersion{Group: group, Version: version}.String(), "kind": kind, "metadata": meta, "spec": spec})
}

// Body is the object in JSON form, as it is sent: without empty lists and maps, and with the
// annotation AnnotationApplied, the hash of everything else. The caller owns it.
func (o *Object) Body() (map[string]any, error) {
	body, err := tree(o.Config)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.Kind.Kind, o.Name, err)
	}
	prune(body)
	sum, err := hash(body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.Kind.Kind, o.Name, err)
	}
	meta, _ := body["metadata"].(map[string]any)
	notes, _ := meta["annotations"].(map[string]any)
	if notes == nil {
		notes = make(map[string]any)
		meta["annotations"] = notes
	}
	notes[AnnotationApplied] = sum
	return body, nil
}

// tree is v as JSON has it: integers are int64, as in unstructured objects.
func tree(v any) (map[string]any, error) {
	text, err := stdjson.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

// meaningful are the fields whose empty value says something: an empty selector selects all.
var meaningful = map[string]bool{"labelSelector": true, "namespaceSelector": true, "podSelector": true}

// prune takes away what is null or an empty list or map, from within outwards.
func prune(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			if prune(v); len(v) == 0 && !meaningful[k] {
				delete(m, k)
			}
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					prune(e)
				}
			}
			if len(v) == 0 {
				delete(m, k)
			}
		}
	}
}

// hash of v, whose JSON form has its keys in order.
func hash(v any) (string, error) {
	text, err := stdjson.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
