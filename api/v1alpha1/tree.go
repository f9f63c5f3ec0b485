package v1alpha1

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func typeOf(v any) reflect.Type { return reflect.TypeOf(v) }

// checkTree compares a decoded document with the Go type that it is for.
func checkTree(path *field.Path, v any, t reflect.Type) field.ErrorList {
	for t.Kind() == reflect.Pointer {
		if v == nil {
			return nil // null is absent
		}
		t = t.Elem()
	}
	if v == nil {
		return nil
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return checkUnmarshaler(path, v, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return checkStruct(path, v, t)
	case reflect.Slice:
		items, ok := v.([]any)
		if !ok {
			return wrongType(path, v, "a list")
		}
		var errs field.ErrorList
		for i, item := range items {
			if item == nil {
				errs = append(errs, field.Invalid(path.Index(i), nil, "want a value, not null"))
				continue
			}
			errs = append(errs, checkTree(path.Index(i), item, t.Elem())...)
		}
		return errs
	case reflect.Map:
		entries, ok := v.(map[string]any)
		if !ok {
			return wrongType(path, v, "a mapping")
		}
		var errs field.ErrorList
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			errs = append(errs, checkTree(path.Key(k), entries[k], t.Elem())...)
		}
		return errs
	case reflect.String:
		if _, ok := v.(string); !ok {
			return wrongType(path, v, "text; put it in quotes")
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			return wrongType(path, v, "true or false")
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, ok := v.(json.Number)
		if !ok {
			return wrongType(path, v, "a whole number")
		}
		if _, err := strconv.ParseInt(n.String(), 10, t.Bits()); err != nil {
			return wrongType(path, v, fmt.Sprintf("a whole number of at most %d bits", t.Bits()))
		}
	}
	return nil
}

// checkUnmarshaler lets a type of Kubernetes' (a quantity, a time) read its value, which says
// what is wrong but not where.
func checkUnmarshaler(path *field.Path, v any, t reflect.Type) field.ErrorList {
	text, err := json.Marshal(v)
	if err != nil {
		return wrongType(path, v, "a value")
	}
	if err := json.Unmarshal(text, reflect.New(t).Interface()); err != nil {
		if t == reflect.TypeFor[resource.Quantity]() {
			return wrongType(path, v, "a quantity, as 500m, 2 or 10Gi")
		}
		return field.ErrorList{field.Invalid(orTop(path), shown(v), oneLine(err.Error()))}
	}
	return nil
}

func checkStruct(path *field.Path, v any, t reflect.Type) field.ErrorList {
	entries, ok := v.(map[string]any)
	if !ok {
		return wrongType(path, v, "a mapping with fields")
	}
	known := make(map[string]reflect.Type)
	collect(t, known)
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		sub := field.NewPath(name)
		if path != nil {
			sub = path.Child(name)
		}
		ft, ok := known[name]
		if !ok {
			errs = append(errs, unknownField(sub, name, entries[name], slices.Sorted(maps.Keys(known))))
			continue
		}
		errs = append(errs, checkTree(sub, entries[name], ft)...)
	}
	return errs
}

// without returns a decoded document in which nothing stands at some paths: a field is gone, an
// item of a list is null, so that those after it keep their places.
func without(v any, at string, paths map[string]bool) any {
	if paths[at] {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			sub := name
			if at != "" {
				sub = at + "." + name
			}
			if paths[sub] || paths[at+"["+name+"]"] {
				continue
			}
			out[name] = without(x, sub, paths)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = without(x, fmt.Sprintf("%s[%d]", at, i), paths)
		}
		return out
	}
	return v
}

// collect lists the fields of a struct by their names in JSON.
func collect(t reflect.Type, known map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			collect(f.Type, known)
		case name != "":
			known[name] = f.Type
		}
	}
}

func wrongType(path *field.Path, v any, want string) field.ErrorList {
	return field.ErrorList{field.Invalid(orTop(path), shown(v), "want "+want)}
}

func orTop(path *field.Path) *field.Path {
	if path == nil {
		return field.NewPath("document")
	}
	return path
}

// shown is a value as an error shows it.
func shown(v any) any {
	text, err := json.Marshal(v)
	if err != nil || len(text) > 60 {
		return fmt.Sprintf("%.60s…", text)
	}
	if s, ok := v.(string); ok {
		return s
	}
	return string(text)
}

func unknownField(path *field.Path, name string, v any, known []string) *field.Error {
	hint := "there is no such field; known here: " + strings.Join(known, ", ")
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("there is no such field; did you mean %q?", near)
	}
	return field.Invalid(path, shown(v), hint)
}

// nearest is the known name that a misspelled one is likely to mean, or "".
func nearest(name string, known []string) string {
	best, at := "", 1+max(2, len(name)/2)
	for _, k := range known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if strings.HasPrefix(strings.ToLower(k), strings.ToLower(name)) && len(name) > 2 {
			d = 1
		}
		if d < at {
			best, at = k, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
