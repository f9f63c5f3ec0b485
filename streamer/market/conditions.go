package market

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// ConditionTable says which fields of a bar a trade counts to, by its sale conditions. A
// set of conditions is a uint64 whose bit i is the unified id i. Nothing of a table can be
// changed. A nil table is None: every trade counts everywhere.
type ConditionTable struct {
	version    string
	conditions []condition
	known      uint64
	restricts  uint64 // any of these takes something away
	// What each set takes away.
	noRange, noEnds, weakEnds, noVolume uint64
	lateHours                           uint64 // of noRange and noEnds, those that outside regular hours bar the day only
}

// condition is one row: which of high and low, open and close, and volume a trade with it
// may set.
type condition struct {
	id       uint8
	name     string
	cta, utp string // the letters at the two SIPs, "" where there is none
	rng      bool
	ends     ends
	volume   bool
}

type ends uint8

const (
	endsNo ends = iota
	endsWeak
	endsYes
)

// noConditions is None.
var noConditions = &ConditionTable{version: "none"}

// ConditionTables lists the names that [LookupConditions] knows.
func ConditionTables() []string { return []string{"USEquities", "None"} }

// LookupConditions returns the table of that name; "" is None. The error lists the names.
func LookupConditions(name string) (*ConditionTable, error) {
	switch name {
	case "USEquities":
		return usConditions, nil
	case "", "None":
		return noConditions, nil
	}
	return nil, fmt.Errorf("unknown condition table %q: one of %s", name, strings.Join(ConditionTables(), ", "))
}

func newConditionTable(version string, rows []condition) *ConditionTable {
	t := &ConditionTable{version: version, conditions: rows}
	for _, r := range rows {
		bit := uint64(1) << r.id
		t.known |= bit
		if !r.rng {
			t.noRange |= bit
		}
		switch r.ends {
		case endsNo:
			t.noEnds |= bit
		case endsWeak:
			t.weakEnds |= bit
		}
		if !r.volume {
			t.noVolume |= bit
		}
	}
	t.restricts = t.noRange | t.noEnds | t.weakEnds | t.noVolume
	return t
}

// Version is the version of the table's data. It stands in configuration frames: bars made
// under another version may differ.
func (t *ConditionTable) Version() string {
	if t == nil {
		return noConditions.version
	}
	return t.version
}

// Use returns the fields that a trade with these conditions counts to: those that every
// one of its conditions allows. A condition that the table does not know takes nothing away.
// outsideRegular is [Session.OutsideRegular] of the trade's time.
func (t *ConditionTable) Use(conditions uint64, outsideRegular bool) Use {
	if t == nil || conditions&t.restricts == 0 {
		return UseAll
	}
	return t.use(conditions, outsideRegular)
}

func (t *ConditionTable) use(conditions uint64, outsideRegular bool) Use {
	var u Use
	if conditions&t.noVolume == 0 {
		u |= UseVolume
	}
	if conditions&t.noRange == 0 {
		u |= UseDayRange
	}
	if conditions&t.noEnds == 0 {
		if conditions&t.weakEnds == 0 {
			u |= UseDayEnds
		} else {
			u |= UseDayWeakEnds
		}
	}
	if outsideRegular {
		conditions &^= t.lateHours
	}
	if conditions&t.noRange == 0 {
		u |= UseRange
	}
	if conditions&t.noEnds == 0 {
		if conditions&t.weakEnds == 0 {
			u |= UseEnds
		} else {
			u |= UseWeakEnds
		}
	}
	return u
}

// errCondition says that a text names no condition.
var errCondition = errors.New("not a sale condition")

// Parse reads a set of conditions: unified ids and letters of the SIPs, separated by
// spaces, ';' or '|'. A number is always an id ("14 37"). A letter stands alone where both
// SIPs give it one meaning ("F I"), else it names its SIP ("CTA:B", "UTP:W", and so do
// the SIPs' digits: "CTA:4"). Parse allocates only to make an error.
func (t *ConditionTable) Parse(text string) (uint64, error) {
	if t == nil {
		t = noConditions
	}
	var set uint64
	for i := 0; i < len(text); {
		if separates(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && !separates(text[i]) {
			i++
		}
		bit, err := t.parseOne(text[start:i])
		if err != nil {
			return 0, err
		}
		set |= bit
	}
	return set, nil
}

func separates(c byte) bool { return c == ' ' || c == ';' || c == '|' || c == '\t' }

func (t *ConditionTable) parseOne(word string) (uint64, error) {
	if c := word[0]; c >= '0' && c <= '9' {
		id, err := strconv.ParseUint(word, 10, 6)
		if err != nil || len(word) > 2 || t.known != 0 && t.known>>id&1 == 0 {
			return 0, t.errorOf(word)
		}
		return 1 << id, nil
	}
	var both [2]uint64 // by CTA, by UTP
	letter := word
	switch {
	case strings.HasPrefix(word, "CTA:"):
		letter = word[4:]
		both[0] = t.letter(letter, true)
		both[1] = both[0]
	case strings.HasPrefix(word, "UTP:"):
		letter = word[4:]
		both[1] = t.letter(letter, false)
		both[0] = both[1]
	default:
		both = [2]uint64{t.letter(letter, true), t.letter(letter, false)}
	}
	// A SIP may have a letter for several ids: what both have decides, else the lowest.
	if set := both[0] & both[1]; set != 0 {
		return 1 << bits.TrailingZeros64(set), nil
	}
	return 0, t.errorOf(word)
}

// letter returns the ids that a SIP writes as letter.
func (t *ConditionTable) letter(letter string, cta bool) (set uint64) {
	if letter == "" {
		return 0
	}
	for i := range t.conditions {
		c := &t.conditions[i]
		if cta && c.cta == letter || !cta && c.utp == letter {
			set |= 1 << c.id
		}
	}
	return set
}

// errorOf says what would be right instead of word.
func (t *ConditionTable) errorOf(word string) error {
	shown := word
	if len(shown) > 20 {
		shown = shown[:20] + "…"
	}
	if t.known == 0 {
		return fmt.Errorf("%q: %w: without a condition table only ids from 0 to 63 are read", shown, errCondition)
	}
	var means []string
	for i := range t.conditions {
		c := &t.conditions[i]
		if c.cta == word {
			means = append(means, fmt.Sprintf("CTA:%s (%d, %s)", word, c.id, c.name))
		}
		if c.utp == word {
			means = append(means, fmt.Sprintf("UTP:%s (%d, %s)", word, c.id, c.name))
		}
	}
	if len(means) > 0 {
		return fmt.Errorf("%q: %w that both SIPs know: write %s", shown, errCondition, strings.Join(means, " or "))
	}
	return fmt.Errorf("%q: %w: write unified ids from %d to %d (\"14 37\") or a SIP's letters one by one (\"F I\", \"CTA:B\"), separated by spaces",
		shown, errCondition, t.conditions[0].id, t.conditions[len(t.conditions)-1].id)
}
