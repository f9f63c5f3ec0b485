package market

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
)

func conditionsOf(t testing.TB, name string) *ConditionTable {
	t.Helper()
	c, err := LookupConditions(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookupConditions(t *testing.T) {
	for _, name := range append(ConditionTables(), "") {
		if conditionsOf(t, name).Version() == "" {
			t.Errorf("%q has no version", name)
		}
	}
	if _, err := LookupConditions("uk"); err == nil || !strings.Contains(err.Error(), "USEquities, None") {
		t.Error(err)
	}
}

// useText writes a Use as minute/day: r range, e ends, w weak ends, v volume.
func useText(u Use) string {
	pick := func(letters string, uses ...Use) (s string) {
		for i, x := range uses {
			if u&x != 0 {
				s += letters[i : i+1]
			}
		}
		return s
	}
	return pick("rewv", UseRange, UseEnds, UseWeakEnds, UseVolume) + "/" + pick("rew", UseDayRange, UseDayEnds, UseDayWeakEnds)
}

func TestUse(t *testing.T) {
	for _, c := range []struct{ conditions, regular, outside string }{
		{"", "rev/re", "rev/re"},
		{"@", "rev/re", "rev/re"},
		{"@ F 41", "rev/re", "rev/re"},
		{"41", "rev/re", "rev/re"},
		{"37", "v/", "v/"},
		{"@ I 41", "v/", "v/"},
		{"T", "v/", "rev/"},
		{"T 41", "v/", "rev/"},
		{"T I", "v/", "v/"},
		{"U", "v/", "v/"},
		{"T U", "v/", "v/"},
		{"CTA:4", "rwv/rw", "rwv/rw"},
		{"T CTA:4", "v/", "rwv/"},
		{"Z", "rwv/rw", "rwv/rw"},
		{"P F", "rwv/rw", "rwv/rw"},
		{"UTP:G", "rwv/rw", "rwv/rw"},
		{"I Z", "v/", "v/"},
		{"M", "/", "/"},
		{"Q", "/", "/"},
		{"T M", "/", "/"},
		{"UTP:9", "re/re", "re/re"},
		{"T 38", "/", "re/"},
		{"38 37", "/", "/"},
		{"CTA:B", "v/", "v/"},
		{"UTP:B", "rev/re", "rev/re"},
		{"UTP:W", "v/", "v/"},
		{"R", "v/", "v/"},
		{"V", "v/", "v/"},
		{"53", "v/", "v/"},
		{"6", "rev/re", "rev/re"},
		{"CTA:6", "rev/re", "rev/re"},
		{"O", "rev/re", "rev/re"},
		{"L", "rev/re", "rev/re"},
	} {
		table := conditionsOf(t, "USEquities")
		set, err := table.Parse(c.conditions)
		if err != nil {
			t.Fatal(err)
		}
		for _, outside := range []bool{false, true} {
			want := map[bool]string{false: c.regular, true: c.outside}[outside]
			if got := useText(table.Use(set, outside)); got != want {
				t.Errorf("%q, outside regular hours %v: %s, want %s", c.conditions, outside, got, want)
			}
			for _, none := range []*ConditionTable{conditionsOf(t, ""), nil} {
				if none.Use(set, outside) != UseAll {
					t.Errorf("%q without a table: %s", c.conditions, useText(none.Use(set, outside)))
				}
			}
		}
	}
	if got := conditionsOf(t, "USEquities").Use(1<<63|1<<39, true); got != UseAll {
		t.Errorf("conditions that the table does not know: %s", useText(got))
	}
}

type conditionRow struct {
	id                  int
	name, cta, utp      string
	rng, ends, volume   bool
	weak, unknown, late bool
}

func referenceConditions(t *testing.T) (rows []conditionRow) {
	var ref struct{ Rows [][]any }
	sharedJSON(t, &ref, "reference", "us-trade-conditions.json")
	for _, r := range ref.Rows {
		row := conditionRow{id: int(r[0].(float64)), name: r[1].(string), cta: r[2].(string), utp: r[3].(string),
			ends: r[5].(bool), volume: r[6].(bool), weak: strings.Contains(r[7].(string), "note1")}
		row.rng, _ = r[4].(bool)
		row.unknown = r[4] == nil
		row.late = row.id == 12
		rows = append(rows, row)
	}
	return rows
}

// use is what the reference says of a set of conditions.
func referenceUse(rows []conditionRow, set uint64, outside bool) Use {
	field := func(allows, late func(conditionRow) bool) bool {
		for _, r := range rows {
			if set>>r.id&1 == 1 && !allows(r) && (late == nil || !late(r)) {
				return false
			}
		}
		return true
	}
	lateToo := func(r conditionRow) bool { return outside && r.late }
	weak := false
	for _, r := range rows {
		weak = weak || set>>r.id&1 == 1 && r.weak
	}
	var u Use
	rng := func(r conditionRow) bool { return r.rng && !r.unknown }
	ends := func(r conditionRow) bool { return r.ends || r.weak }
	for _, f := range []struct {
		allows, late func(conditionRow) bool
		use, weakUse Use
	}{
		{func(r conditionRow) bool { return r.volume }, nil, UseVolume, UseVolume},
		{rng, lateToo, UseRange, UseRange}, {rng, nil, UseDayRange, UseDayRange},
		{ends, lateToo, UseEnds, UseWeakEnds}, {ends, nil, UseDayEnds, UseDayWeakEnds},
	} {
		if field(f.allows, f.late) {
			if weak {
				u |= f.weakUse
			} else {
				u |= f.use
			}
		}
	}
	return u
}

// The table is the one that was collected, and its masks do what its rows say, for every
// pair of conditions and for random sets.
func TestConditionsAgainstReference(t *testing.T) {
	rows := referenceConditions(t)
	table := conditionsOf(t, "USEquities")
	if len(rows) != len(table.conditions) {
		t.Fatalf("%d rows, want %d", len(table.conditions), len(rows))
	}
	for i, r := range rows {
		c := table.conditions[i]
		if int(c.id) != r.id || c.name != r.name || c.cta != r.cta || c.utp != r.utp {
			t.Errorf("row %+v, want %+v", c, r)
		}
	}
	check := func(set uint64) {
		for _, outside := range []bool{false, true} {
			if got, want := table.Use(set, outside), referenceUse(rows, set, outside); got != want {
				t.Fatalf("%b, outside %v: %s, want %s", set, outside, useText(got), useText(want))
			}
		}
	}
	for _, a := range rows {
		for _, b := range rows {
			check(1<<a.id | 1<<b.id)
		}
	}
	r := newRand(t)
	for range 20_000 {
		check(r.Uint64() & r.Uint64() & r.Uint64() & r.Uint64())
	}
}

// Whoever changes the table must give it another version.
func TestConditionsVersion(t *testing.T) {
	h := fnv.New64a()
	table := conditionsOf(t, "USEquities")
	fmt.Fprintf(h, "%v %v", table.conditions, table.lateHours)
	if got := fmt.Sprintf("%s %016x", table.Version(), h.Sum64()); got != "2026-11 7118ca6cfc9654b8" {
		t.Errorf("the table changed: give it another version, then write %q here", got)
	}
}

func TestParseConditions(t *testing.T) {
	table := conditionsOf(t, "USEquities")
	set := func(ids ...int) (s uint64) {
		for _, id := range ids {
			s |= 1 << id
		}
		return s
	}
	for text, want := range map[string]uint64{
		"": 0, "  ; |": 0, "0": 1, "14 37": set(14, 37), "14;37": set(14, 37), "14|37|14": set(14, 37), " @ F\tI ": set(0, 14, 37),
		"CTA:B": set(2), "UTP:W": set(2), "UTP:B": set(4), "CTA:4": set(10), "UTP:4": set(10), "4": set(4), "CTA:K UTP:K": set(24, 23),
		"6": set(6), "CTA:6": set(8), "UTP:6": set(8), "O": set(25), "CTA:O": set(17), "UTP:A": set(1), "55": set(55), "X": set(9), "05": set(5),
	} {
		if got, err := table.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %b, %v; want %b", text, got, err, want)
		}
	}
	for text, hint := range map[string]string{
		"B":                          `write CTA:B (2, Average Price Trade) or UTP:B (4, Bunched Trade)`,
		"14 K":                       `write UTP:K (23, Rule 155 Trade (AMEX)) or CTA:K (24, Rule 127 (NYSE))`,
		"A":                          `write UTP:A (1, Acquisition)`,
		"26":                         "ids from 0 to 55",
		"64":                         "ids from 0 to 55",
		"-1":                         "ids from 0 to 55",
		"014":                        "ids from 0 to 55",
		"@FTI":                       "letters one by one",
		"i":                          "letters one by one",
		"CTA:":                       "letters one by one",
		"CTA:W":                      "letters one by one",
		"cta:B":                      "letters one by one",
		"14,37":                      "separated by spaces",
		"99999999999999999999999999": "ids from 0 to 55",
		"é":                          "letters one by one",
	} {
		if got, err := table.Parse(text); !errors.Is(err, errCondition) || !strings.Contains(err.Error(), hint) {
			t.Errorf("Parse(%q) = %b, %v; want %q", text, got, err, hint)
		}
	}
	for _, none := range []*ConditionTable{conditionsOf(t, "None"), nil} {
		if got, err := none.Parse("26 63"); err != nil || got != set(26, 63) {
			t.Errorf("without a table: %b, %v", got, err)
		}
		if _, err := none.Parse("F"); err == nil || !strings.Contains(err.Error(), "only ids from 0 to 63") {
			t.Errorf("without a table: %v", err)
		}
		if none.Version() != "none" {
			t.Errorf("version %q", none.Version())
		}
	}
}

func FuzzParseConditions(f *testing.F) {
	for _, s := range []string{"", "14 37", "@ F T I", "CTA:B|UTP:W;41", "B", "64", "CTA:", "\xff"} {
		f.Add(s)
	}
	table := conditionsOf(f, "USEquities")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := table.Parse(text)
		if err != nil && (set != 0 || !errors.Is(err, errCondition)) {
			t.Fatalf("%q: %b, %v", text, set, err)
		}
		if set&^table.known != 0 {
			t.Fatalf("%q: %b has ids that the table does not know", text, set)
		}
		if again, err := table.Parse(text + " " + text); err == nil && again != set {
			t.Fatalf("%q twice: %b, %b", text, set, again)
		}
	})
}
