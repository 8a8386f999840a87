/*
 * hist.c - how often something took how long: a count for each span, which
 * begins at most 1 % before it ends, so that millions of samples cost nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fleet.h"
#include "util.h"

#define HIST_BITS	7	/* 128 spans from a power of two to the next */
#define HIST_SPANS	((64 - HIST_BITS + 1) << HIST_BITS)

struct hist {
	uint64_t	 n;
	uint64_t	 max;
	uint64_t	 spans[HIST_SPANS];
};

static size_t
span_of(uint64_t ns)
{
	unsigned int	 shift;

	if (ns >> HIST_BITS == 0)
		return (ns);
	shift = 63 - HIST_BITS - (unsigned int)__builtin_clzll(ns);
	return (((size_t)shift << HIST_BITS) + (size_t)(ns >> shift));
}

static uint64_t
span_end(size_t i)
{
	unsigned int	 shift;

	if (i >> HIST_BITS == 0)
		return (i);
	shift = (unsigned int)(i >> HIST_BITS) - 1;
	return ((((i & ((1 << HIST_BITS) - 1)) | 1 << HIST_BITS) + 1) << shift);
}

struct hist *
hist_new(void)
{
	return (xcalloc(1, sizeof(struct hist)));
}

void
hist_add(struct hist *h, uint64_t ns)
{
	h->n++;
	if (ns > h->max)
		h->max = ns;
	h->spans[span_of(ns)]++;
}

double
hist_ms(const struct hist *h, double share)
{
	uint64_t	 end, seen = 0, want = (uint64_t)((double)h->n * share);
	size_t		 i;

	for (i = 0; i < HIST_SPANS; i++)
		if ((seen += h->spans[i]) > want)
			break;
	end = i == HIST_SPANS ? h->max : span_end(i);
	return ((double)(end < h->max ? end : h->max) / 1e6);
}

void
hist_print(const struct hist *h, const char *name)
{
	printf("%s_p50 %.3f\n%s_p99 %.3f\n%s_max %.3f\n", name,
	    hist_ms(h, 0.5), name, hist_ms(h, 0.99), name, hist_ms(h, 1));
}

void
hist_free(struct hist *h)
{
	free(h);
}
