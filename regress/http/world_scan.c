/*
 * world_scan.c - what is in frontd's memory.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

#define SCAN_PIECE	(1U << 20)
#define SCAN_REGION	(1ULL << 32)

/* Occurrences in the part [a, b) of frontd's memory, a piece at a time. */
static int
scan_part(int mem, uint64_t a, uint64_t b, const char *text)
{
	static char	 buf[SCAN_PIECE];
	size_t		 len = strlen(text), had = 0, i;
	ssize_t		 n;
	int		 found = 0;

	while (a < b) {
		n = pread(mem, buf + had, sizeof(buf) - had < b - a ?
		    sizeof(buf) - had : (size_t)(b - a), (off_t)a);
		if (n <= 0)
			break;
		a += (uint64_t)n;
		had += (size_t)n;
		for (i = 0; i + len <= had; i++)
			if (memcmp(buf + i, text, len) == 0)
				found++;
		/* What may begin at the end goes before the next piece. */
		i = had < len - 1 ? had : len - 1;
		memmove(buf, buf + had - i, i);
		had = i;
	}
	return (found);
}

/* Sanitizers map terabytes of shadow, which hold no text. */
int
scan(const char *text)
{
	char			 path[64], line[512], perms[8];
	unsigned long long	 a, b;
	FILE			*maps;
	int			 mem, found = 0;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)frontd_pid);
	if ((mem = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "%s", path);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)frontd_pid);
	if ((maps = fopen(path, "re")) == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), maps) != NULL)
		if (sscanf(line, "%llx-%llx %7s", &a, &b, perms) == 3 &&
		    perms[0] == 'r' && perms[1] == 'w' &&
		    b - a < SCAN_REGION)
			found += scan_part(mem, a, b, text);
	fclose(maps);
	close(mem);
	return (found);
}
