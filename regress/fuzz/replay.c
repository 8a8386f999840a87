/*
 * replay.c - a harness without a fuzzer: each file that is named, and each file
 * of a directory that is, goes through it once.  What one input does wrong ends
 * the program, as a signal or by the sanitizer; so does one that takes too long.
 * Prints how many there were.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX	(4U << 20)
#define INPUT_SECONDS	20

static unsigned int	 done;

static void
replay_file(const char *path)
{
	uint8_t	*buf, *exact;
	FILE	*f;
	size_t	 n;

	if ((buf = malloc(INPUT_MAX)) == NULL ||
	    (f = fopen(path, "re")) == NULL)
		err(1, "%s", path);
	n = fread(buf, 1, INPUT_MAX, f);
	if (ferror(f) || (exact = malloc(n)) == NULL)
		err(1, "%s", path);
	fclose(f);
	memcpy(exact, buf, n);
	free(buf);
	alarm(INPUT_SECONDS);
	/* Which one it was, should it not come back. */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	done++;
}

static void
replay(const char *path)
{
	struct dirent	**list;
	struct stat	  st;
	char		  name[4096];
	int		  i, n;

	if (stat(path, &st) == -1)
		err(1, "%s", path);
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	if ((n = scandir(path, &list, NULL, alphasort)) == -1)
		err(1, "%s", path);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, list[i]->d_name);
		if (list[i]->d_name[0] != '.')
			replay_file(name);
		free(list[i]);
	}
	free(list);
}

int
main(int argc, char **argv)
{
	int	 i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%u\n", done);
	return (0);
}
