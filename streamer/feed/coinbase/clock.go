package coinbase

// cumulative is the number of days before each month of a year that is no leap year.
var cumulative = [...]int{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}

var monthDays = [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// parseTime reads "2021-04-17T16:43:30.244075Z", with up to nine decimals or none, as Unix
// ns. The years are 1970 to 2115, so that it lies below feed.MaxTime.
func parseTime(b []byte) (ns int64, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
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
	var fraction int64
	if digits := b[19 : len(b)-1]; len(digits) > 0 {
		if digits[0] != '.' || len(digits) < 2 || len(digits) > 10 {
			return 0, false
		}
		for i := 1; i < 10; i++ {
			fraction *= 10
			if i < len(digits) {
				c := digits[i]
				if c < '0' || c > '9' {
					return 0, false
				}
				fraction += int64(c - '0')
			}
		}
	}
	before := year - 1
	days := (year-1970)*365 + (before/4 - 1969/4) - (before/100 - 1969/100) + (before/400 - 1969/400)
	days += cumulative[month-1] + day - 1
	if leap && month > 2 {
		days++
	}
	return ((int64(days)*24+int64(hour))*60+int64(minute))*60e9 + int64(second)*1e9 + fraction, true
}

// two is the number of two digits at i, or one far below 0.
func two(b []byte, i int) int {
	if b[i] < '0' || b[i] > '9' || b[i+1] < '0' || b[i+1] > '9' {
		return -1_000_000
	}
	return int(b[i]-'0')*10 + int(b[i+1]-'0')
}
