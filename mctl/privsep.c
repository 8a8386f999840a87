/*
 * The walls around a process, read from the kernel when it runs on this
 * machine, so that the server is not asked to vouch for itself.  What cannot
 * be read is left out.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep.h"

#define ALL_CAPS	40	/* CAP_CHECKPOINT_RESTORE, and itself */

/* The same names whatever the server's version calls them. */
void
process_tidy(json_t *row)
{
	json_t	*v;
	int64_t	 started;

	if ((v = doc_find(row, "queue|queued|queue_depth")) != NULL)
		json_object_set(row, "queue", v);
	if ((v = doc_find(row, "rss_bytes|rss")) != NULL)
		json_object_set(row, "rss_bytes", v);
	if (doc_find(row, "uptime_seconds") != NULL)
		return;
	if ((v = doc_find(row, "uptime")) != NULL)
		json_object_set(row, "uptime_seconds", v);
	else if (when_parse(doc_str(row, "started_at"), &started) == 0)
		json_object_set_new(row, "uptime_seconds",
		    json_integer((when_now() - started) / 1000));
}

static int
is_here(struct mctl *m)
{
	return (m->ep.socket != NULL || url_is_loopback(m->ep.admin_url));
}

/* The value of a line of /proc/PID/status. */
static const char *
line_value(const char *text, const char *name)
{
	const char	*p;
	size_t		 len = strlen(name);

	for (p = text; p != NULL; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (strncmp(p, name, len) == 0 && p[len] == ':')
			return (p + len + 1 + strspn(p + len + 1, " \t"));
	}
	return ("");
}

static int
status_read(json_int_t pid, char *buf, size_t size)
{
	FILE	*f;
	char	 path[64];
	size_t	 n;

	snprintf(path, sizeof(path), "/proc/%lld/status", (long long)pid);
	if ((f = fopen(path, "re")) == NULL)
		return (-1);
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = '\0';
	return (0);
}

static void
caps_set(json_t *row, const char *text)
{
	unsigned long long	 caps = strtoull(text, NULL, 16);
	char			 buf[32];

	if (caps == 0)
		snprintf(buf, sizeof(buf), "none");
	else if (caps + 1 >= 1ULL << ALL_CAPS)
		snprintf(buf, sizeof(buf), "all");
	else
		snprintf(buf, sizeof(buf), "%llx", caps);
	json_object_set_new(row, "capabilities", json_string(buf));
}

static void
root_set(json_t *row, json_int_t pid)
{
	char	 path[64], root[512];
	ssize_t	 n;

	snprintf(path, sizeof(path), "/proc/%lld/root", (long long)pid);
	if ((n = readlink(path, root, sizeof(root) - 1)) == -1)
		return;
	root[n] = '\0';
	json_object_set_new(row, "root", json_string(root));
}

void
process_walls(struct mctl *m, json_t *row)
{
	static const char *const	 modes[] = { "off", "strict",
	    "filter" };
	json_int_t			 pid = doc_int(row, "pid");
	long				 uid, mode;
	char				 text[8192];

	if (pid <= 0 || !is_here(m) ||
	    status_read(pid, text, sizeof(text)) == -1)
		return;
	uid = strtol(line_value(text, "Uid"), NULL, 10);
	if (json_is_integer(doc_find(row, "uid")) &&
	    doc_int(row, "uid") != uid)
		return;		/* another machine's pid, or another's now */
	json_object_set_new(row, "uid", json_integer(uid));
	mode = strtol(line_value(text, "Seccomp"), NULL, 10);
	if (mode >= 0 && mode <= 2)
		json_object_set_new(row, "seccomp", json_string(modes[mode]));
	json_object_set_new(row, "no_new_privs",
	    json_boolean(*line_value(text, "NoNewPrivs") == '1'));
	caps_set(row, line_value(text, "CapEff"));
	root_set(row, pid);
}
