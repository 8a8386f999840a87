/*
 * Times: RFC 3339 in, ages for people out, spans such as 90m on the command
 * line.  Milliseconds since 1970, UTC, but for when_ticks().
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doc.h"

int64_t
when_now(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

/* For what lasts: no clock that somebody sets, nor that goes on in sleep. */
int64_t
when_ticks(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

int
when_parse(const char *s, int64_t *ms)
{
	struct tm	 tm;
	const char	*p;
	int64_t		 part = 0, unit = 100;

	memset(&tm, 0, sizeof(tm));
	if ((p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm)) == NULL)
		return (-1);
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			part += (*p - '0') * unit;
	if (strcmp(p, "Z") != 0 && strcmp(p, "+00:00") != 0)
		return (-1);
	*ms = (int64_t)timegm(&tm) * 1000 + part;
	return (0);
}

void
when_format(int64_t ms, char *buf, size_t size)
{
	struct tm	 tm;
	time_t		 t = (time_t)(ms / 1000);
	char		 day[32];

	gmtime_r(&t, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%03dZ", day, (int)(ms % 1000));
}

void
when_age(int64_t seconds, char *buf, size_t size)
{
	long long	 s = seconds < 0 ? 0 : seconds;

	if (s < 120)
		snprintf(buf, size, "%llds", s);
	else if (s < 120 * 60)
		snprintf(buf, size, "%lldm", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, size, "%lldh", s / 3600);
	else
		snprintf(buf, size, "%lldd", s / 86400);
}

/* 30, 30s, 15m, 12h, 7d: seconds. */
int
when_span(const char *s, int64_t *seconds)
{
	char		 digits[16];
	const char	*errstr;
	size_t		 n;
	int64_t		 unit = 1;

	n = strspn(s, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return (-1);
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (strcmp(s + n, "m") == 0)
		unit = 60;
	else if (strcmp(s + n, "h") == 0)
		unit = 3600;
	else if (strcmp(s + n, "d") == 0)
		unit = 86400;
	else if (s[n] != '\0' && strcmp(s + n, "s") != 0)
		return (-1);
	*seconds = strtonum(digits, 0, 1000000000, &errstr) * unit;
	return (errstr == NULL ? 0 : -1);
}
