package desired

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// keyed lists are associative: their elements are found by keys, and others may add to them. All other
// lists are atomic: whoever writes one writes it whole. A path ends as one of these does, with an
// element's place left out; the longest counts.
var keyed = map[string][]string{
	"metadata.ownerReferences":  {"uid"},
	"spec.ports":                {"port", "protocol"}, // of a Service
	"containers":                {"name"},
	"initContainers":            {"name"},
	"ephemeralContainers":       {"name"},
	"containers.ports":          {"containerPort", "protocol"},
	"initContainers.ports":      {"containerPort", "protocol"},
	"env":                       {"name"},
	"volumes":                   {"name"},
	"volumeMounts":              {"mountPath"},
	"volumeDevices":             {"devicePath"},
	"imagePullSecrets":          {"name"}, // of a pod and of a ServiceAccount
	"hostAliases":               {"ip"},
	"topologySpreadConstraints": {"topologyKey", "whenUnsatisfiable"},
	"status.conditions":         {"type"},
	"spec.groups":               {"name"}, // of a PrometheusRule
}

// absent is what a key means that is not there.
var absent = map[string]any{"protocol": "TCP"}

// Subset reports whether all of want is in live with the same value, and else the first path that
// differs, by name: maps through and through, associative lists by their keys, atomic lists element by
// element with equal length (elements may have fields that a server filled in), numbers as numbers.
//
// It answers for the server: what it would change if want were applied. Quantities must be canonical in
// want, as they are in live; those of [Object.Body] are.
func Subset(want, live map[string]any) (path string, same bool) {
	return subsetMap("", "", want, live)
}

// subset compares at a path; place is the path without the places of elements.
func subset(path, place string, want, live any) (string, bool) {
	switch w := want.(type) {
	case map[string]any:
		if l, ok := live.(map[string]any); ok {
			return subsetMap(path, place, w, l)
		}
		return path, false
	case []any:
		l, ok := live.([]any)
		if !ok {
			return path, false
		}
		if keys := keysOf(place); keys != nil {
			return subsetKeyed(path, place, keys, w, l)
		}
		return subsetAtomic(path, place, w, l)
	}
	return path, scalar(want, live)
}

func subsetMap(path, place string, want, live map[string]any) (string, bool) {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		at := join(path, k)
		l, ok := live[k]
		if !ok {
			return at, false
		}
		if p, same := subset(at, join(place, k), want[k], l); !same {
			return p, false
		}
	}
	return "", true
}

func subsetAtomic(path, place string, want, live []any) (string, bool) {
	if len(want) != len(live) {
		return path, false
	}
	for i := range want {
		if p, same := subset(fmt.Sprintf("%s[%d]", path, i), place, want[i], live[i]); !same {
			return p, false
		}
	}
	return "", true
}

func subsetKeyed(path, place string, keys []string, want, live []any) (string, bool) {
	for i, w := range want {
		wanted, ok := w.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s[%d]", path, i), false
		}
		at := path + "[" + named(wanted, keys) + "]"
		found := slices.IndexFunc(live, func(l any) bool {
			there, ok := l.(map[string]any)
			return ok && !slices.ContainsFunc(keys, func(k string) bool { return !scalar(key(wanted, k), key(there, k)) })
		})
		if found < 0 {
			return at, false
		}
		// A key that is not there was judged by what its absence means.
		if p, same := subset(at, place, w, live[found]); !same {
			return p, false
		}
	}
	return "", true
}

// keysOf are those of the list at a place; nil: it is atomic.
func keysOf(place string) []string {
	for at := place; ; {
		if keys, ok := keyed[at]; ok {
			return keys
		}
		_, rest, ok := strings.Cut(at, ".")
		if !ok {
			return nil
		}
		at = rest
	}
}

func key(m map[string]any, k string) any {
	if v, ok := m[k]; ok {
		return v
	}
	return absent[k]
}

// named is the place of an element in its list.
func named(m map[string]any, keys []string) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s=%v", k, key(m, k))
	}
	return strings.Join(parts, ",")
}

func join(path, k string) string {
	if strings.ContainsAny(k, "./") {
		return path + "[" + k + "]"
	}
	if path == "" {
		return k
	}
	return path + "." + k
}

// scalar compares what is neither map nor list. Numbers may have come by different decoders.
func scalar(want, live any) bool {
	a, whole := integer(want)
	b, wholeToo := integer(live)
	if whole && wholeToo {
		return a == b
	}
	x, number := float(want)
	y, numberToo := float(live)
	if number || numberToo {
		return number && numberToo && x == y
	}
	switch want.(type) {
	case nil, string, bool:
		return want == live
	}
	return false
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	n, ok := integer(v)
	return float64(n), ok
}
