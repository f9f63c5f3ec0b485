package logs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrCursor is wrapped by every error of [ParseCursor].
var ErrCursor = errors.New("malformed cursor")

// MaxEpoch is the longest epoch, in bytes.
const MaxEpoch = 32

// Cursor is a position in BARS as clients hold it: after event Index of the frame at Seq.
type Cursor struct {
	Epoch string // 1 to [MaxEpoch] of a–z and 0–9
	Seq   uint64
	// Index is that of the last event seen; -1: none of the frame's.
	Index int
	Tag   uint32
}

// String is <epoch>.<seq>.<idx>.<tag>; the tag in 8 hex digits.
func (c Cursor) String() string { return string(c.AppendTo(make([]byte, 0, 64))) }

// AppendTo appends what String returns.
func (c Cursor) AppendTo(dst []byte) []byte {
	dst = append(append(dst, c.Epoch...), '.')
	dst = append(strconv.AppendUint(dst, c.Seq, 10), '.')
	dst = append(strconv.AppendInt(dst, int64(c.Index), 10), '.')
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[c.Tag>>shift&15])
	}
	return dst
}

// ParseCursor reads what String makes, and nothing else: a cursor has one spelling. Its
// Epoch shares s. It allocates only to make an error.
func ParseCursor(s string) (Cursor, error) {
	c, field, want := parseCursor(s)
	if field != "" {
		if len(s) > 80 {
			s = s[:80] + "…"
		}
		return Cursor{}, fmt.Errorf("%w %q: %s: want %s", ErrCursor, s, field, want)
	}
	return c, nil
}

func parseCursor(s string) (c Cursor, field, want string) {
	epoch, rest, _ := strings.Cut(s, ".")
	if !ValidEpoch(epoch) {
		return c, "epoch", "1 to 32 of a-z and 0-9"
	}
	seq, rest, _ := strings.Cut(rest, ".")
	n, ok := parseNumber(seq, math.MaxUint64)
	if !ok {
		return c, "seq", "a decimal number of 64 bits"
	}
	index, tag, _ := strings.Cut(rest, ".")
	at := -1
	if index != "-1" {
		i, ok := parseNumber(index, math.MaxInt32)
		if !ok {
			return c, "index", "-1 or a decimal number of 31 bits"
		}
		at = int(i)
	}
	t, ok := parseTag(tag)
	if !ok {
		return c, "tag", "8 lower-case hex digits"
	}
	return Cursor{Epoch: epoch, Seq: n, Index: at, Tag: t}, "", ""
}

// ValidEpoch reports whether s may name a log's incarnation.
func ValidEpoch(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= MaxEpoch
}

// parseNumber is strict where strconv is not: no sign, no leading zero. (And strconv
// allocates its errors.)
func parseNumber(s string, most uint64) (n uint64, ok bool) {
	if s == "" || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := uint64(s[i] - '0')
		if c > 9 || n > (most-c)/10 {
			return 0, false
		}
		n = n*10 + c
	}
	return n, true
}

func parseTag(s string) (tag uint32, ok bool) {
	if len(s) != 8 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		tag = tag<<4 | uint32(c)
	}
	return tag, true
}
