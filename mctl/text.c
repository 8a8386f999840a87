/*
 * Text of strangers made fit for a terminal.  A hostile agent writes tool
 * calls, a hostile repository writes file names: control characters, the C1
 * set, bidirectional overrides and invisible characters are shown, not sent.
 * Bytes that are no UTF-8 become U+FFFD.  Widths are those of a terminal, and
 * do not depend on the locale.
 */

#include <string.h>

#include "doc.h"

#define NO_CHAR		0xfffdU

struct range {
	uint32_t	 from, to;
};

/* Drawn by no terminal, or redrawing what stands beside them. */
static const struct range unseen[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x00ad, 0x00ad },
	{ 0x034f, 0x034f }, { 0x061c, 0x061c }, { 0x115f, 0x1160 },
	{ 0x17b4, 0x17b5 }, { 0x180e, 0x180e }, { 0x200b, 0x200b },
	{ 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
	{ 0x3164, 0x3164 }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
	{ 0xfff0, 0xfffb }, { 0xe0000, 0xe0fff }
};
static const struct range zero[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd },
	{ 0x064b, 0x065f }, { 0x0e31, 0x0e31 }, { 0x0e34, 0x0e3a },
	{ 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x200c, 0x200d },
	{ 0x20d0, 0x20ff }, { 0xfe00, 0xfe0e }, { 0xfe20, 0xfe2f }
};
/* Twice as wide in Unicode 16's EastAsianWidth.txt, or in some terminal. */
static const struct range twice[] = {
	{ 0x1100, 0x115f }, { 0x231a, 0x231b }, { 0x2329, 0x232a },
	{ 0x23e9, 0x23ec }, { 0x23f0, 0x23f0 }, { 0x23f3, 0x23f3 },
	{ 0x25fd, 0x25fe }, { 0x2614, 0x2615 }, { 0x2648, 0x2653 },
	{ 0x267f, 0x267f }, { 0x2693, 0x2693 }, { 0x26a1, 0x26a1 },
	{ 0x26aa, 0x26ab }, { 0x26bd, 0x26be }, { 0x26c4, 0x26c5 },
	{ 0x26ce, 0x26ce }, { 0x26d4, 0x26d4 }, { 0x26ea, 0x26ea },
	{ 0x26f2, 0x26f3 }, { 0x26f5, 0x26f5 }, { 0x26fa, 0x26fa },
	{ 0x26fd, 0x26fd }, { 0x2705, 0x2705 }, { 0x270a, 0x270b },
	{ 0x2728, 0x2728 }, { 0x274c, 0x274c }, { 0x274e, 0x274e },
	{ 0x2753, 0x2755 }, { 0x2757, 0x2757 }, { 0x2795, 0x2797 },
	{ 0x27b0, 0x27b0 }, { 0x27bf, 0x27bf }, { 0x2b1b, 0x2b1c },
	{ 0x2b50, 0x2b50 }, { 0x2b55, 0x2b55 }, { 0x2e80, 0x303e },
	{ 0x3041, 0xa4cf }, { 0xa960, 0xa97c }, { 0xac00, 0xd7a3 },
	{ 0xf900, 0xfaff }, { 0xfe10, 0xfe19 }, { 0xfe30, 0xfe6f },
	{ 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x16fe0, 0x1b2fb },
	{ 0x1d300, 0x1d376 }, { 0x1f004, 0x1f004 }, { 0x1f0cf, 0x1f0cf },
	{ 0x1f18e, 0x1f18e }, { 0x1f191, 0x1f19a }, { 0x1f1e6, 0x1f64f },
	{ 0x1f680, 0x1f6ff }, { 0x1f7e0, 0x1f7ff }, { 0x1f900, 0x1faff },
	{ 0x20000, 0x3fffd }
};

#define IS(t, c)	is_within((t), sizeof(t) / sizeof((t)[0]), (c))

static int
is_within(const struct range *r, size_t n, uint32_t c)
{
	size_t	 i;

	for (i = 0; i < n; i++)
		if (c >= r[i].from && c <= r[i].to)
			return (1);
	return (0);
}

/* The next character of [*p, end); at least one byte is taken. */
uint32_t
text_next(const char **p, const char *end)
{
	static const uint32_t	 least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char	*s = (const unsigned char *)*p;
	size_t			 i, more, left = (size_t)(end - *p);
	uint32_t		 c;

	(*p)++;
	c = s[0];
	if (c < 0x80)
		return (c);
	if (c >= 0xc2 && c < 0xe0)
		more = 1;
	else if (c >= 0xe0 && c < 0xf0)
		more = 2;
	else if (c >= 0xf0 && c < 0xf5)
		more = 3;
	else
		return (NO_CHAR);
	if (left <= more)
		return (NO_CHAR);
	c &= 0x3fU >> more;
	for (i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return (NO_CHAR);
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return (NO_CHAR);
	*p += more;
	return (c);
}

static void
text_show(struct str *out, uint32_t c)
{
	if (c < 0x20)
		str_printf(out, "^%c", (int)(c + '@'));
	else if (c == 0x7f)
		str_puts(out, "^?");
	else
		str_printf(out, "\\u{%x}", c);
}

void
text_safe(struct str *out, const char *p, size_t len, int flags)
{
	const char	*end = p + len, *from;
	uint32_t	 c;

	str_add(out, "", 0);
	while (p < end) {
		from = p;
		c = text_next(&p, end);
		if (c == NO_CHAR)
			str_puts(out, "\xef\xbf\xbd");
		else if ((flags & TEXT_LINES) && (c == '\n' || c == '\t'))
			str_add(out, from, 1);
		else if (c == '\n')
			str_puts(out, "\\n");
		else if (c == '\t')
			str_puts(out, " ");
		else if (IS(unseen, c))
			text_show(out, c);
		else
			str_add(out, from, (size_t)(p - from));
	}
}

void
text_put(FILE *f, const char *p, size_t len, int flags)
{
	struct str	 s = { 0 };

	text_safe(&s, p, len, flags);
	fwrite(s.data, 1, s.len, f);
	str_free(&s);
}

/* On one line. */
void
text_puts(FILE *f, const char *p)
{
	text_put(f, p, strlen(p), 0);
}

/*
 * Rather too much than too little, for what is wider than we think runs over
 * the edge: U+FE0F makes some terminals draw what it follows twice as wide.
 */
static size_t
char_width(uint32_t c)
{
	if (IS(zero, c))
		return (0);
	return (IS(twice, c) ? 2 : 1);
}

/* Of text that text_safe() has made. */
size_t
text_width(const char *p)
{
	const char	*end = p + strlen(p);
	size_t		 n = 0;

	while (p < end)
		n += char_width(text_next(&p, end));
	return (n);
}

/* Cut what is wider than `max' columns, and say so with a mark. */
void
text_clip(struct str *s, size_t max)
{
	const char	*p, *from, *end;
	size_t		 n = 0, w;

	if (max == 0 || text_width(s->data) <= max)
		return;
	end = s->data + s->len;
	for (p = s->data; p < end;) {
		from = p;
		w = char_width(text_next(&p, end));
		if (n + w > max - 1) {
			s->len = (size_t)(from - s->data);
			break;
		}
		n += w;
	}
	str_puts(s, "\xe2\x80\xa6");
}
