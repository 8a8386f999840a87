/*
 * mctl events: what happens, as it happens.
 */

#include <stdlib.h>
#include <string.h>

#include "stream.h"

static const struct opt follow_opts[] = {
	{ "type", "TYPE", "task.completed, task.* ...; repeatable", 0 },
	{ "label", "K=V", "with this label; repeatable, all must be there", 0 },
	{ "after", "POSITION", "only what comes after this position", 0 },
	{ NULL, NULL, NULL, 0 }
};

static int
on_event(void *arg, const char *type, const char *data, size_t len)
{
	struct mctl	*m = arg;
	struct str	 s = { 0 };
	json_t		*doc;

	(void)type;
	if ((doc = json_loadb(data, len, JSON_ALLOW_NUL, NULL)) == NULL)
		return (0);
	if (m->output == OUT_JSON || m->output == OUT_YAML)
		out_line(m, doc);
	else {
		str_printf(&s, "%s  %-24s  %s", doc_str(doc, "time"),
		    doc_str(doc, "type"), doc_str(doc, "resource.id"));
		if (m->output == OUT_WIDE)
			str_printf(&s, "  session=%s task=%s position=%s",
			    doc_str(doc, "session_id"),
			    doc_str(doc, "task_id"), doc_str(doc, "position"));
		text_puts(stdout, s.data);
		putchar('\n');
		fflush(stdout);
		str_free(&s);
	}
	json_decref(doc);
	return (out_check(m) != 0);
}

static int
do_follow(struct mctl *m, const struct args *a)
{
	struct stream	 st = { 0 };
	struct str	 path = { 0 };
	const char	*v;
	int		 i;

	if ((v = args_str(a, "after")) != NULL) {
		if (*v == '\0' || strpbrk(v, "\r\n") != NULL)
			return (usage_error(m, "--after: expected a position"));
		str_puts(&st.last, v);
	}
	str_puts(&path, "/api/v1/events");
	for (i = 0; (v = args_next(a, "type", &i)) != NULL;)
		str_query(&path, "types", v);
	for (i = 0; (v = args_next(a, "label", &i)) != NULL;)
		str_query(&path, "label", v);
	st.path = path.data;
	st.on_event = on_event;
	st.arg = m;
	i = stream_run(m, &st);
	str_free(&path);
	str_free(&st.last);
	str_free(&st.body);
	return (i == -1 || out_check(m) != 0 ? m->rc : EX_DONE);
}

const struct cmd_entry cmd_events[] = {
	{ "events", "follow", NULL, follow_opts, 0, 0, 0,
	    "Show what happens, as it happens", do_follow },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
