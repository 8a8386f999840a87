/*
 * when.c - a time as clients write it (RFC 3339 5.6).  strptime(3) would take
 * signs, spaces and the 31st of each month.
 */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "body.h"

#define DIGITS	"0123456789"

/*
 * n digits within bounds, and the character behind them (none: NUL).  Where s
 * goes on; NULL when they are not there, or s was NULL already.
 */
static const char *
number(const char *s, size_t n, char behind, int min, int max, int *v)
{
	size_t	 i;

	*v = 0;
	if (s == NULL || strspn(s, DIGITS) < n)
		return (NULL);
	for (i = 0; i < n; i++)
		*v = *v * 10 + (s[i] - '0');
	if (*v < min || *v > max || (behind != '\0' && s[n] != behind))
		return (NULL);
	return (s + n + (behind != '\0'));
}

static const char *
fraction(const char *s)
{
	size_t	 n;

	if (s == NULL || *s != '.')
		return (s);
	n = strspn(s + 1, DIGITS);
	return (n > 0 ? s + 1 + n : NULL);
}

/* Z, or how far local time is ahead: in seconds. */
static const char *
offset(const char *s, int *seconds)
{
	int	 sign, h, m;

	*seconds = 0;
	if (s == NULL || *s == 'Z')
		return (s != NULL ? s + 1 : NULL);
	if (*s != '+' && *s != '-')
		return (NULL);
	sign = *s == '-' ? -1 : 1;
	s = number(s + 1, 2, ':', 0, 23, &h);
	s = number(s, 2, '\0', 0, 59, &m);
	*seconds = sign * (h * 3600 + m * 60);
	return (s);
}

/* Unix seconds, or -1: what is before 1970 is no time here. */
time_t
when_read(const char *s)
{
	struct tm	 day = { 0 };
	time_t		 t;
	int		 mday, h, m, sec, ahead;

	s = number(s, 4, '-', 1970, 9999, &day.tm_year);
	s = number(s, 2, '-', 1, 12, &day.tm_mon);
	s = number(s, 2, 'T', 1, 31, &mday);
	s = number(s, 2, ':', 0, 23, &h);
	s = number(s, 2, ':', 0, 59, &m);
	s = fraction(number(s, 2, '\0', 0, 60, &sec));
	s = offset(s, &ahead);
	if (s == NULL || *s != '\0')
		return (-1);
	day.tm_year -= 1900;
	day.tm_mon -= 1;
	day.tm_mday = mday;
	t = timegm(&day);
	if (day.tm_mday != mday)
		return (-1);	/* of the next month: there is no such day */
	t += h * 3600 + m * 60 + sec - ahead;
	return (t >= 0 ? t : -1);
}
