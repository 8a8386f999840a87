/*
 * mctl version, mctl help.
 */

#include "doc.h"

static int
do_version(struct mctl *m, const struct args *a)
{
	json_t	*doc;

	(void)a;
	if (m->output == OUT_TABLE || m->output == OUT_WIDE) {
		puts("mctl " MN_VERSION);
		return (EX_DONE);
	}
	doc = json_pack("{s:s}", "version", MN_VERSION);
	out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

static int
do_help(struct mctl *m, const struct args *a)
{
	if (help_about(a->noperands, a->operand) != 0)
		return (usage_error(m, "there is no help about `%s'",
		    a->operand[0]));
	return (EX_DONE);
}

const struct cmd_entry cmd_version[] = {
	{ "version", NULL, NULL, NULL, 0, 0, CMD_LOCAL,
	    "Print mctl's version", do_version },
	{ "help", NULL, "[NOUN [VERB]]", NULL, 0, 3, CMD_LOCAL,
	    "Say what there is", do_help },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
