package scan

// cumulative is the number of days before each month of a year that is no leap year.
var cumulative = [...]int{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}

var monthDays = [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// Time is a time of RFC 3339, as a text.
func (t *Token) Time() (ns int64, ok bool) {
	if t.kind != String || t.escaped {
		return 0, false
	}
	return Time(t.raw)
}

// Time reads a time of RFC 3339 as Unix ns: "2021-02-22T15:51:44.208Z", "2021-02-22T10:51:44-05:00". It may have
// up to nine decimals. The years are 1970 to 2115.
func Time(b []byte) (ns int64, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	year, month, day := two(b, 0)*100+two(b, 2), two(b, 5), two(b, 8)
	hour, minute, second := two(b, 11), two(b, 14), two(b, 17)
	if year < 1970 || year > 2115 || month < 1 || month > 12 || day < 1 || day > monthDays[month-1] ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false
	}
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if month == 2 && day == 29 && !leap {
		return 0, false
	}
	rest := b[19:]
	var fraction int64
	if rest[0] == '.' {
		n := 1
		for ; n < len(rest) && rest[n]-'0' <= 9; n++ {
			if n > 9 {
				return 0, false
			}
			fraction = fraction*10 + int64(rest[n]-'0')
		}
		if n == 1 {
			return 0, false
		}
		for k := n; k < 10; k++ {
			fraction *= 10
		}
		rest = rest[n:]
	}
	zone, ok := offset(rest)
	if !ok {
		return 0, false
	}
	before := year - 1
	days := (year-1970)*365 + (before/4 - 1969/4) - (before/100 - 1969/100) + (before/400 - 1969/400)
	days += cumulative[month-1] + day - 1
	if leap && month > 2 {
		days++
	}
	ns = (((int64(days)*24+int64(hour))*60+int64(minute)-zone)*60+int64(second))*1e9 + fraction
	return ns, ns >= 0
}

// offset reads "Z" or "+hh:mm" as minutes.
func offset(b []byte) (minutes int64, ok bool) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) != 6 || b[3] != ':' || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	h, m := two(b, 1), two(b, 4)
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, false
	}
	if minutes = int64(h*60 + m); b[0] == '-' {
		minutes = -minutes
	}
	return minutes, true
}

// two is the number of two digits at i, or one far below 0.
func two(b []byte, i int) int {
	if b[i]-'0' > 9 || b[i+1]-'0' > 9 {
		return -1_000_000
	}
	return int(b[i]-'0')*10 + int(b[i+1]-'0')
}
