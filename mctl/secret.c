/*
 * Keys from where nobody else can read them: a variable, a descriptor, a
 * file; never an argument.  They are wiped when done with.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

void
secret_free(char *s)
{
	if (s != NULL) {
		explicit_bzero(s, strlen(s));
		free(s);
	}
}

/* The first line of a descriptor, printable and not empty. */
static int
secret_fd(int fd, char **key)
{
	char	 buf[MAX_SECRET + 2];
	ssize_t	 n;
	size_t	 len = 0, i;
	int	 rc = -1;

	while (len < sizeof(buf) - 1 &&
	    (n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == '\r'))
		len--;
	buf[len] = '\0';
	errno = EINVAL;
	if (len == 0 || len > MAX_SECRET)
		goto done;
	for (i = 0; i < len; i++)
		if (buf[i] < 0x21 || buf[i] > 0x7e)
			goto done;
	*key = xstrdup(buf);
	rc = 0;
done:
	explicit_bzero(buf, sizeof(buf));
	return (rc);
}

int
secret_file(const char *path, char **key)
{
	int	 fd, rc;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (-1);
	rc = secret_fd(fd, key);
	close(fd);
	return (rc);
}

static int
secret_number(struct mctl *m, const char *s, char **key)
{
	const char	*errstr;
	int		 fd;

	fd = (int)strtonum(s, 0, 1023, &errstr);
	if (errstr != NULL || secret_fd(fd, key) == -1)
		return (usage_error(m, "--api-key-fd %s: no key to be read "
		    "there", s));
	return (0);
}

static int
secret_env(struct mctl *m, const char *name, char **key)
{
	const char	*s = getenv(name);

	if (s == NULL || *s == '\0' || strlen(s) > MAX_SECRET)
		return (usage_error(m, "%s is not set in the environment",
		    name));
	*key = xstrdup(s);
	return (0);
}

/* --api-key-env, --api-key-fd, --api-key-file: *key stays if there is none. */
int
secret_read(struct mctl *m, const struct args *a, char **key)
{
	const char	*env, *fd, *file;

	env = args_str(a, "api-key-env");
	fd = args_str(a, "api-key-fd");
	file = args_str(a, "api-key-file");
	if ((env != NULL) + (fd != NULL) + (file != NULL) > 1)
		return (usage_error(m, "one of --api-key-env, --api-key-fd, "
		    "--api-key-file"));
	if (env != NULL)
		return (secret_env(m, env, key));
	if (fd != NULL)
		return (secret_number(m, fd, key));
	if (file != NULL && secret_file(file, key) == -1)
		return (usage_error(m, "--api-key-file %s: %s", file,
		    errno == EINVAL ? "expected one line with the key" :
		    strerror(errno)));
	return (0);
}
