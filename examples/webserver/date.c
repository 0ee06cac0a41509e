/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * date.c - the date formats of HTTP. The program never calls setlocale(), so names are English.
 */
#include "examples/webserver/date.h"

#include <errno.h>

void date_format(time_t time, char text[static DATE_ROOM])
{
	struct tm tm;

	if (!gmtime_r(&time, &tm) ||
	    strftime(text, DATE_ROOM, "%a, %d %b %Y %T GMT", &tm) != DATE_LEN)
		memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", DATE_ROOM);
}

static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const days[7] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
				     "Thursday", "Friday", "Saturday" };

static bool take_digits(struct text *t, int n, int *number)
{
	*number = 0;
	if (t->len < (size_t)n)
		return false;
	for (int i = 0; i < n; i++) {
		if (t->p[i] < '0' || t->p[i] > '9')
			return false;
		*number = *number * 10 + t->p[i] - '0';
	}
	text_skip(t, (size_t)n);
	return true;
}

/* Which day it is follows from the date, and is not looked at. @len 0: the whole name. */
static bool take_day(struct text *t, size_t len)
{
	for (int i = 0; i < 7; i++)
		if (text_take(t, days[i], len ? len : strlen(days[i])))
			return true;
	return false;
}

static bool take_month(struct text *t, int *month)
{
	for (*month = 0; *month < 12; ++*month)
		if (text_take(t, months[*month], 3))
			return true;
	return false;
}

static bool take_clock(struct text *t, struct tm *tm)
{
	return take_digits(t, 2, &tm->tm_hour) && text_take(t, ":", 1) &&
	       take_digits(t, 2, &tm->tm_min) && text_take(t, ":", 1) &&
	       take_digits(t, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60 &&
	       tm->tm_sec <= 60;
}

static bool take_full_year(struct text *t, struct tm *tm)
{
	if (!take_digits(t, 4, &tm->tm_year))
		return false;
	tm->tm_year -= 1900;
	return true;
}

static bool parse_fixed(struct text t, struct tm *tm)
{
	return take_day(&t, 3) && text_take(&t, ", ", 2) && take_digits(&t, 2, &tm->tm_mday) &&
	       text_take(&t, " ", 1) && take_month(&t, &tm->tm_mon) && text_take(&t, " ", 1) &&
	       take_full_year(&t, tm) && text_take(&t, " ", 1) && take_clock(&t, tm) &&
	       text_take(&t, " GMT", 4) && !t.len;
}

static bool parse_rfc850(struct text t, struct tm *tm, time_t now)
{
	struct tm today;

	if (!take_day(&t, 0) || !text_take(&t, ", ", 2) || !take_digits(&t, 2, &tm->tm_mday) ||
	    !text_take(&t, "-", 1) || !take_month(&t, &tm->tm_mon) || !text_take(&t, "-", 1) ||
	    !take_digits(&t, 2, &tm->tm_year) || !text_take(&t, " ", 1) || !take_clock(&t, tm) ||
	    !text_take(&t, " GMT", 4) || t.len || !gmtime_r(&now, &today))
		return false;
	tm->tm_year += today.tm_year / 100 * 100;
	if (tm->tm_year > today.tm_year + 50)
		tm->tm_year -= 100;
	return true;
}

static bool parse_asctime(struct text t, struct tm *tm)
{
	if (!take_day(&t, 3) || !text_take(&t, " ", 1) || !take_month(&t, &tm->tm_mon) ||
	    !text_take(&t, " ", 1))
		return false;
	if (text_take(&t, " ", 1) ? !take_digits(&t, 1, &tm->tm_mday)
				  : !take_digits(&t, 2, &tm->tm_mday))
		return false;
	return text_take(&t, " ", 1) && take_clock(&t, tm) && text_take(&t, " ", 1) &&
	       take_full_year(&t, tm) && !t.len;
}

int date_parse(struct text text, time_t now, time_t *time)
{
	struct tm tm = { 0 };
	bool leap;
	int day;

	if (!parse_fixed(text, &tm) && !parse_rfc850(text, &tm, now) && !parse_asctime(text, &tm))
		return -EINVAL;
	day = tm.tm_mday;
	leap = tm.tm_sec == 60;
	*time = timegm(&tm);
	/* timegm() makes the 31st of February a day of March */
	return tm.tm_mday == day || leap ? 0 : -EINVAL;
}
