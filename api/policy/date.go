package policy

import "strings"

// instant is a point in time: seconds since the Unix epoch and the decimal fraction behind them.
type instant struct {
	seconds  int64
	fraction string // digits without trailing zeros
}

func (a instant) compare(b instant) int {
	switch {
	case a.seconds < b.seconds:
		return -1
	case a.seconds > b.seconds:
		return 1
	}
	return strings.Compare(a.fraction, b.fraction)
}

// parseInstant reads the W3C profile of ISO 8601 (YYYY, YYYY-MM, YYYY-MM-DD, or a date, T, hh:mm[:ss[.s]] and a zone) or
// epoch seconds (spec 05 OPR-01, OPR-06). Four digits are a year.
func parseInstant(s string) (instant, bool) {
	if d, ok := parseDecimal(s); ok && len(s) != 4 {
		return d.instant()
	}
	date, clock, hasClock := strings.Cut(s, "T")
	days, ok := parseDate(date, hasClock)
	if !ok || !hasClock {
		return instant{seconds: days * 86400}, ok
	}
	clock, offset, ok := cutZone(clock)
	if !ok {
		return instant{}, false
	}
	of, fraction, ok := parseClock(clock)
	return instant{seconds: days*86400 + of - offset, fraction: fraction}, ok
}

// instant turns epoch seconds into an instant. A fraction before the epoch counts from the second before.
func (d decimal) instant() (instant, bool) {
	if len(d.whole) > 15 || d.negative && d.fraction != "" {
		return instant{}, false
	}
	seconds := int64(number(d.whole))
	if d.negative {
		seconds = -seconds
	}
	return instant{seconds: seconds, fraction: d.fraction}, true
}

// number reads digits; the caller bounds their count.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = 10*n + int(digits[i]-'0')
	}
	return n
}

// field reads exactly width digits between low and high.
func field(s string, width, low, high int) (int, bool) {
	if len(s) != width || !allDigits(s) {
		return 0, false
	}
	n := number(s)
	return n, n >= low && n <= high
}

// parseDate returns the days since the epoch of YYYY[-MM[-DD]]; full asks for the day.
func parseDate(s string, full bool) (int64, bool) {
	year, rest, hasMonth := strings.Cut(s, "-")
	y, ok := field(year, 4, 0, 9999)
	if !ok {
		return 0, false
	}
	m, d := 1, 1
	if hasMonth {
		month, day, hasDay := strings.Cut(rest, "-")
		if m, ok = field(month, 2, 1, 12); !ok {
			return 0, false
		}
		if hasDay {
			if d, ok = field(day, 2, 1, daysIn(y, m)); !ok {
				return 0, false
			}
		}
		full = full && !hasDay
	}
	return daysSinceEpoch(y, m, d), !full
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch counts in the proleptic Gregorian calendar, in years that begin in March so that leap days come last.
func daysSinceEpoch(year, month, day int) int64 {
	y, m := int64(year), int64(month)
	if m <= 2 {
		y--
		m += 12
	}
	return 365*y + floorDiv(y, 4) - floorDiv(y, 100) + floorDiv(y, 400) + (153*(m-3)+2)/5 + int64(day) - 719469
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// cutZone splits off Z or ±hh:mm and returns its offset in seconds.
func cutZone(s string) (clock string, offset int64, ok bool) {
	if c, found := strings.CutSuffix(s, "Z"); found {
		return c, 0, true
	}
	i := strings.LastIndexAny(s, "+-")
	if i < 0 {
		return "", 0, false
	}
	hours, minutes, _ := strings.Cut(s[i+1:], ":")
	h, okH := field(hours, 2, 0, 23)
	m, okM := field(minutes, 2, 0, 59)
	offset = int64(h*3600 + m*60)
	if s[i] == '-' {
		offset = -offset
	}
	return s[:i], offset, okH && okM
}

// parseClock returns the seconds of hh:mm[:ss[.s]] and the fraction.
func parseClock(s string) (seconds int64, fraction string, ok bool) {
	hours, rest, _ := strings.Cut(s, ":")
	minutes, rest, hasSeconds := strings.Cut(rest, ":")
	h, okH := field(hours, 2, 0, 23)
	m, okM := field(minutes, 2, 0, 59)
	if !okH || !okM {
		return 0, "", false
	}
	sec, dot := 0, false
	if hasSeconds {
		var whole string
		whole, fraction, dot = strings.Cut(rest, ".")
		if sec, ok = field(whole, 2, 0, 60); !ok || dot && (fraction == "" || !allDigits(fraction)) {
			return 0, "", false
		}
	}
	return int64(h*3600 + m*60 + sec), strings.TrimRight(fraction, "0"), true
}
