package market

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// usEquitiesVersion changes with every change of the facts below; a test holds it to them.
const usEquitiesVersion = "2026-11"

// usEquityYears has the weekdays (and a few days of weekends, as the source lists them)
// on which US stock exchanges were or will be closed, and those on which they close at
// 13:00 New York, as MMDD. Outside these years only weekends are closed: what is not
// known is not guessed.
var usEquityYears = []struct {
	year          int
	closed, early string
}{
	{1998, "0101 0119 0216 0410 0525 0703 0907 1126 1225", ""},
	{1999, "0101 0118 0215 0402 0531 0705 0906 1125 1224", "1126"},
	{2000, "0117 0221 0421 0529 0704 0904 1123 1225", "0703 1124"},
	{2001, "0101 0115 0219 0413 0528 0704 0903 0911 0912 0913 0914 1122 1225", "0703 1123 1224"},
	{2002, "0101 0121 0218 0329 0527 0704 0902 1128 1225", "0705 1129 1224"},
	{2003, "0101 0120 0217 0418 0526 0704 0901 1127 1225", "0703 1128 1224 1226"},
	{2004, "0101 0119 0216 0409 0531 0611 0705 0906 1125 1224", "1126"},
	{2005, "0117 0221 0325 0530 0704 0905 1124 1226", "1125"},
	{2006, "0102 0116 0220 0414 0529 0704 0904 1123 1225", "0703 1124"},
	{2007, "0101 0102 0115 0219 0406 0528 0704 0903 1122 1225", "0703 1123 1224"},
	{2008, "0101 0121 0218 0321 0526 0704 0901 1127 1225", "0703 1128 1224"},
	{2009, "0101 0119 0216 0410 0525 0703 0907 1126 1225", "1127 1224"},
	{2010, "0101 0118 0215 0402 0531 0705 0906 1125 1224", "1126"},
	{2011, "0101 0117 0221 0422 0530 0704 0905 1124 1226", "1125"},
	{2012, "0102 0116 0220 0406 0528 0704 0903 1029 1030 1122 1225", "0703 1123 1224"},
	{2013, "0101 0121 0218 0329 0527 0704 0902 1128 1225", "0703 1129 1224"},
	{2014, "0101 0120 0217 0418 0526 0704 0901 1127 1225", "0703 1128 1224"},
	{2015, "0101 0119 0216 0403 0525 0703 0907 1126 1225", "1127 1224"},
	{2016, "0101 0118 0215 0325 0530 0704 0905 1124 1226", "1125"},
	{2017, "0102 0116 0220 0414 0529 0704 0904 1123 1225", "0703 1124 1224"},
	{2018, "0101 0115 0219 0330 0528 0704 0903 1122 1205 1225", "0703 1123 1224"},
	{2019, "0101 0121 0218 0419 0527 0704 0902 1128 1225", "0703 1129 1224"},
	{2020, "0101 0120 0217 0410 0525 0703 0907 1126 1225", "1127 1224"},
	{2021, "0101 0118 0215 0402 0531 0705 0906 1125 1224", "1126"},
	{2022, "0101 0117 0221 0415 0530 0620 0704 0905 1124 1226", "1125"},
	{2023, "0102 0116 0220 0407 0529 0619 0704 0904 1123 1225", "0703 1124"},
	{2024, "0101 0115 0219 0329 0527 0619 0704 0902 1128 1225", "0703 1129 1224"},
	{2025, "0101 0109 0120 0217 0418 0526 0619 0704 0901 1127 1225", "0703 1128 1224"},
	{2026, "0101 0119 0216 0403 0525 0619 0703 0907 1126 1225", "1127 1224"},
	{2027, "0101 0118 0215 0326 0531 0618 0705 0906 1125 1224", "1126"},
	{2028, "0117 0221 0414 0529 0619 0704 0904 1123 1225", "0703 1124"},
}

// newUSEquities: premarket from 04:00, regular hours from 09:30 to 16:00, after-hours to
// 20:00; on a day that closes early, regular hours to 13:00 and after-hours to 17:00.
func newUSEquities() (*Calendar, error) {
	loc, err := time.LoadLocation("America/New_York")
	if err != nil {
		return nil, fmt.Errorf("calendar USEquities: %w", err)
	}
	c := &Calendar{
		name: "USEquities", version: usEquitiesVersion, loc: loc, ashift: -5 * msHour,
		pre: 4 * 60, open: 9*60 + 30, close: 16 * 60, after: 20 * 60, afterEarly: 17 * 60,
		holidays: make(map[int64]bool), early: make(map[int64]int64),
	}
	for _, y := range usEquityYears {
		for _, mmdd := range strings.Fields(y.closed) {
			n, err := dayOfYear(y.year, mmdd)
			if err != nil {
				return nil, err
			}
			c.holidays[n] = true
		}
		for _, mmdd := range strings.Fields(y.early) {
			n, err := dayOfYear(y.year, mmdd)
			if err != nil {
				return nil, err
			}
			c.early[n] = 13 * 60
		}
	}
	return c, nil
}

func dayOfYear(year int, mmdd string) (int64, error) {
	v, err := strconv.Atoi(mmdd)
	if err != nil || len(mmdd) != 4 {
		return 0, fmt.Errorf("calendar USEquities: %q in %d is no MMDD", mmdd, year)
	}
	return dayNumber(year, time.Month(v/100), v%100), nil
}
