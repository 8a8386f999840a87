/*
 * mctl completion: scripts for shells, made from the tables of commands.
 */

#include <string.h>

#include "doc.h"

typedef void (*entry_fn)(const struct cmd_entry *);

static void
each_entry(entry_fn fn)
{
	const struct cmd_entry	*e;
	size_t			 i;

	for (i = 0; cmd_tables[i] != NULL; i++)
		for (e = cmd_tables[i]; e->noun != NULL; e++)
			fn(e);
}

/* The words that may follow these: nouns, second words, verbs. */
static void
words_after(const char *prefix)
{
	const struct cmd_entry	*e;
	char			 name[96], last[96] = "";
	size_t			 i, len = strlen(prefix), n;

	for (i = 0; cmd_tables[i] != NULL; i++) {
		for (e = cmd_tables[i]; e->noun != NULL; e++) {
			snprintf(name, sizeof(name), "%s%s%s", e->noun,
			    e->verb != NULL ? " " : "",
			    e->verb != NULL ? e->verb : "");
			if (strncmp(name, prefix, len) != 0 ||
			    (len > 0 && name[len] != ' '))
				continue;
			n = len + (len > 0);
			name[n + strcspn(name + n, " ")] = '\0';
			if (strcmp(name + n, last) == 0 || name[n] == '\0')
				continue;
			snprintf(last, sizeof(last), "%s", name + n);
			printf("%s ", name + n);
		}
	}
}

static void
options_of(const struct opt *o)
{
	for (; o != NULL && o->name != NULL; o++)
		printf("--%s ", o->name);
}

static void
case_words(const char *prefix)
{
	printf("\t\"%s\") reply=\"", prefix);
	words_after(prefix);
	fputs("\" ;;\n", stdout);
}

static void
case_options(const struct cmd_entry *e)
{
	const char	*sp = e->verb != NULL ? " " : "";
	const char	*verb = e->verb != NULL ? e->verb : "";

	printf("\t\"%s%s%s\"|\"%s%s%s \"*) opts=\"", e->noun, sp, verb,
	    e->noun, sp, verb);
	options_of(e->opts);
	fputs("\" ;;\n", stdout);
}

static void
cases(void)
{
	const struct cmd_entry	*e;
	const char		*last = "";
	size_t			 i;

	fputs("\tcase \"$at\" in\n", stdout);
	case_words("");
	case_words("admin");
	for (i = 0; cmd_tables[i] != NULL; i++) {
		for (e = cmd_tables[i]; e->noun != NULL; e++) {
			if (e->verb == NULL || strcmp(last, e->noun) == 0)
				continue;
			case_words(e->noun);
			last = e->noun;
		}
	}
	fputs("\tesac\n\tcase \"$at\" in\n", stdout);
	each_entry(case_options);
	fputs("\tesac\n", stdout);
}

/* Options whose next word is their value, as a pattern. */
static void
valued_options(void)
{
	const struct opt	*o;
	const char		*bar = "";

	for (o = global_opts; o->name != NULL; o++) {
		if (o->arg == NULL)
			continue;
		if (o->letter != 0)
			printf("%s-%c|--%s", bar, o->letter, o->name);
		else
			printf("%s--%s", bar, o->name);
		bar = "|";
	}
}

/* Both shells: the words before the cursor without options are the path. */
static void
print_sh(const char *head, const char *tail)
{
	fputs(head, stdout);
	fputs("\tlocal w skip=\"\" at=\"\" reply=\"\" opts=\"\"\n"
	    "\tfor w in \"${before[@]}\"; do\n"
	    "\t\tif [ -n \"$skip\" ]; then skip=\"\"; continue; fi\n"
	    "\t\tcase \"$w\" in\n\t\t", stdout);
	valued_options();
	fputs(") skip=1; continue ;;\n\t\t-*) continue ;;\n\t\tesac\n"
	    "\t\tat=\"$at${at:+ }$w\"\n"
	    "\tdone\n", stdout);
	cases();
	fputs("\topts=\"$opts", stdout);
	options_of(global_opts);
	fputs("\"\n", stdout);
	fputs(tail, stdout);
}

static const char *
fish_value(const struct opt *o)
{
	if (o->arg == NULL)
		return ("");
	return (strcmp(o->arg, "FILE") == 0 || strcmp(o->arg, "PATH") == 0 ?
	    " -r -F" : " -r");
}

static void
print_fish(const struct cmd_entry *e)
{
	const struct opt	*o;
	const char		*second = strchr(e->noun, ' ');
	int			 n = (int)strcspn(e->noun, " ");
	char			 seen[128];

	if (second != NULL) {
		printf("complete -c mctl -n __fish_use_subcommand -a %.*s\n",
		    n, e->noun);
		printf("complete -c mctl -n '__fish_seen_subcommand_from %.*s' "
		    "-a %s\n", n, e->noun, second + 1);
	} else
		printf("complete -c mctl -n __fish_use_subcommand -a %s\n",
		    e->noun);
	if (second != NULL)
		second++;
	snprintf(seen, sizeof(seen), "__fish_seen_subcommand_from %s",
	    second != NULL ? second : e->noun);
	if (e->verb != NULL)
		printf("complete -c mctl -n '%s' -a %s -d \"%s\"\n", seen,
		    e->verb, e->summary);
	for (o = e->opts; o != NULL && o->name != NULL; o++)
		printf("complete -c mctl -n '%s%s%s' -l %s%s\n", seen,
		    e->verb != NULL ? "; and __fish_seen_subcommand_from " :
		    "", e->verb != NULL ? e->verb : "", o->name,
		    fish_value(o));
}

static int
do_completion(struct mctl *m, const struct args *a)
{
	const struct opt	*o;
	const char		*shell = a->operand[0];

	if (strcmp(shell, "bash") == 0)
		print_sh("_mctl()\n{\n\tlocal before=(\"${COMP_WORDS[@]:1:"
		    "COMP_CWORD-1}\")\n",
		    "\tcase \"${COMP_WORDS[COMP_CWORD]}\" in -*) reply="
		    "\"$opts\" ;; esac\n"
		    "\tCOMPREPLY=($(compgen -W \"$reply\" -- "
		    "\"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
		    "complete -o default -F _mctl mctl\n");
	else if (strcmp(shell, "zsh") == 0)
		print_sh("#compdef mctl\n_mctl()\n{\n\tlocal -a before=("
		    "\"${(@)words[2,CURRENT-1]}\")\n",
		    "\tcase \"${words[CURRENT]}\" in -*) reply=\"$opts\" ;; esac\n"
		    "\tcompadd -- ${=reply}\n}\n"
		    "compdef _mctl mctl\n");
	else if (strcmp(shell, "fish") == 0) {
		puts("complete -c mctl -f");
		each_entry(print_fish);
		for (o = global_opts; o->name != NULL; o++)
			printf("complete -c mctl -l %s%s\n", o->name,
			    fish_value(o));
	} else
		return (usage_error(m, "completion is for bash, zsh or fish, "
		    "not `%s'", shell));
	return (EX_DONE);
}

const struct cmd_entry cmd_completion[] = {
	{ "completion", NULL, "bash|zsh|fish", NULL, 1, 1, CMD_LOCAL,
	    "Print a completion script", do_completion },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
