%{
/*
 * parse.y - marionette.conf(5), in the manner of the BSD daemons.  Every error
 * names file and line and says what was expected; parsing goes on after it.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "parent.h"

static FILE		*file;
static const char	*file_name;
static int		 lineno, errors;
static struct conf	*conf;
static struct listen_conf *cur;

static int	 yylex(void);
static void	 yyerror(const char *);
static void	 wrong(const char *, ...)
		    __attribute__((format(printf, 1, 2)));
static void	 set(char **, char *);
static long long in_range(long long, long long, long long, const char *);
static void	 admin_add(char *, char *, int);

struct lval {
	char		*string;
	long long	 number;
	int		 line;
};
#define YYSTYPE struct lval
%}

%define parse.error detailed
/* What a wrong line drops. */
%destructor { free($$.string); } STRING name
%token STATE "state" RUN "run" DIRECTORY "directory" USER "user"
%token PREFIX "prefix" CONTROL "control" SOCKET "socket" GROUP "group"
%token LOG "log" FORMAT "format" TEXT "text" JSON "json" LISTEN "listen"
%token API "api" ADMIN "admin" RUNNER "runner" ON "on" PORT "port"
%token PLAINTEXT "plaintext" TLS "tls" CERTIFICATE "certificate"
%token KEY "key" CLIENT "client" CA "ca" SKIP "skip" HOSTNAME "hostname"
%token ORIGIN "origin" PASSWORD "password" FILE_ "file" MASTER "master"
%token DATABASE "database" EMBEDDED "embedded" BINARIES "binaries"
%token OWNER "owner" SUSPEND "suspend" LOST "lost" AFTER "after"
%token HEARTBEAT "heartbeat" LIMIT "limit" QUEUED "queued" TASKS "tasks"
%token CONNECTIONS "connections" RETENTION "retention" DAYS "days"
%token SERVER "server" ID "id"
%token STRING "a string" NUMBER "a number" EOL "the end of the line"

%%

grammar	: /* empty */
	| grammar EOL
	| grammar line EOL
	| grammar error EOL	{ yyerrok; }
	;

line	: STATE DIRECTORY STRING	{ set(&conf->state_dir, $3.string); }
	| RUN DIRECTORY STRING		{ set(&conf->run_dir, $3.string); }
	| USER PREFIX STRING		{ set(&conf->user_prefix, $3.string); }
	| CONTROL SOCKET STRING		{ set(&conf->control, $3.string); }
	| CONTROL GROUP STRING		{ set(&conf->control_group, $3.string); }
	| LOG FORMAT TEXT		{ conf->json = 0; }
	| LOG FORMAT JSON		{ conf->json = 1; }
	| LOG RETENTION NUMBER DAYS	{
		conf->log_days = in_range($3.number, 1, 400, "log retention");
	}
	| listen
	| SKIP TLS			{ conf->skip_tls = 1; }
	| HOSTNAME STRING		{
		words_add(&conf->hosts, $2.string, NULL, $2.line);
		free($2.string);
	}
	| ORIGIN STRING			{
		words_add(&conf->origins, $2.string, NULL, $2.line);
		free($2.string);
	}
	| ADMIN USER name PASSWORD STRING	{
		admin_add($3.string, $5.string, $3.line);
	}
	| MASTER KEY FILE_ STRING	{ set(&conf->master_key, $4.string); }
	| DATABASE EMBEDDED		{ set(&conf->database, NULL); }
	| DATABASE EMBEDDED BINARIES STRING	{
		set(&conf->database, NULL);
		set(&conf->pg_bin, $4.string);
	}
	| DATABASE STRING		{ set(&conf->database, $2.string); }
	| DATABASE OWNER STRING		{ set(&conf->database_owner, $3.string); }
	| DATABASE PASSWORD FILE_ STRING	{
		set(&conf->password_file, $4.string);
	}
	| SUSPEND AFTER NUMBER		{
		conf->suspend_after = in_range($3.number, 10, 31536000,
		    "suspend after");
	}
	| LOST AFTER NUMBER		{
		conf->lost_after = in_range($3.number, 5, 86400, "lost after");
	}
	| HEARTBEAT NUMBER		{
		conf->heartbeat = in_range($2.number, 1, 300, "heartbeat");
	}
	| LIMIT QUEUED TASKS NUMBER	{
		conf->queued_tasks = in_range($4.number, 1, 1000000,
		    "limit queued tasks");
	}
	| LIMIT CONNECTIONS NUMBER	{
		conf->connections = in_range($3.number, 1, 1000000,
		    "limit connections");
	}
	| SERVER ID NUMBER		{
		conf->server_id = in_range($3.number, 1, 65535, "server id");
	}
	;

name	: STRING
	| ADMIN		{ $$.string = strdup("admin"); $$.line = lineno; }
	;

listen	: LISTEN who ON STRING PORT NUMBER {
		cur->address = $4.string;
		$4.string = NULL;	/* should the rest be wrong */
		cur->line = $4.line;
		cur->port = (uint16_t)in_range($6.number, 1, 65535, "port");
	} wire
	;

who	: API		{ cur = calloc(1, sizeof(*cur)); cur->proc = PROC_API;
			  TAILQ_INSERT_TAIL(&conf->listens, cur, entry); }
	| ADMIN		{ cur = calloc(1, sizeof(*cur)); cur->proc = PROC_ADMIN;
			  TAILQ_INSERT_TAIL(&conf->listens, cur, entry); }
	| RUNNER	{ cur = calloc(1, sizeof(*cur)); cur->proc = PROC_RUNNER;
			  TAILQ_INSERT_TAIL(&conf->listens, cur, entry); }
	;

wire	: PLAINTEXT		{ cur->tls = 0; }
	| TLS tlsopts		{ cur->tls = 1; }
	;

tlsopts	: /* empty */
	| tlsopts CERTIFICATE STRING	{ set(&cur->cert, $3.string); }
	| tlsopts KEY STRING		{ set(&cur->key, $3.string); }
	| tlsopts CLIENT CA STRING	{ set(&cur->ca, $4.string); }
	;

%%

static const struct {
	const char	*name;
	int		 token;
} keywords[] = {
	{ "admin", ADMIN }, { "after", AFTER }, { "api", API },
	{ "binaries", BINARIES }, { "ca", CA }, { "certificate", CERTIFICATE },
	{ "client", CLIENT }, { "connections", CONNECTIONS },
	{ "control", CONTROL }, { "database", DATABASE }, { "days", DAYS },
	{ "directory", DIRECTORY }, { "embedded", EMBEDDED },
	{ "file", FILE_ }, { "format", FORMAT }, { "group", GROUP },
	{ "heartbeat", HEARTBEAT }, { "hostname", HOSTNAME }, { "id", ID },
	{ "json", JSON }, { "key", KEY }, { "limit", LIMIT },
	{ "listen", LISTEN }, { "log", LOG }, { "lost", LOST },
	{ "master", MASTER }, { "on", ON }, { "origin", ORIGIN },
	{ "owner", OWNER }, { "password", PASSWORD },
	{ "plaintext", PLAINTEXT }, { "port", PORT }, { "prefix", PREFIX },
	{ "queued", QUEUED }, { "retention", RETENTION }, { "run", RUN },
	{ "runner", RUNNER }, { "server", SERVER }, { "skip", SKIP },
	{ "socket", SOCKET }, { "state", STATE }, { "suspend", SUSPEND },
	{ "tasks", TASKS }, { "text", TEXT }, { "tls", TLS },
	{ "user", USER }
};

static char	 token_text[8192];	/* the last token, for messages */
static int	 token_line;

/* From the grammar: names the word it stumbled over. */
static void
yyerror(const char *msg)
{
	errors++;
	conf_complain(file_name, token_line, "near \"%.64s\": %s; see "
	    "marionette.conf(5)", token_text, msg);
}

/* From us: a value that cannot be. */
static void
wrong(const char *fmt, ...)
{
	va_list	 ap;

	errors++;
	va_start(ap, fmt);
	conf_vcomplain(file_name, token_line, fmt, ap);
	va_end(ap);
}

static void
set(char **where, char *value)
{
	free(*where);
	*where = value;
}

static long long
in_range(long long v, long long min, long long max, const char *what)
{
	if (v >= min && v <= max)
		return (v);
	wrong("%s: %lld is not from %lld to %lld", what, v, min, max);
	return (min);
}

static void
admin_add(char *name, char *hash, int line)
{
	if (strncmp(hash, "$argon2id$", 10) != 0 &&
	    (strncmp(hash, "sha256:", 7) != 0 || strlen(hash) != 71))
		wrong("admin user %s: the password must be a hash, as `mctl "
		    "admin password hash' prints it ($argon2id$... or "
		    "sha256:...)", name);
	else if (strpbrk(name, " :\t") != NULL || strlen(name) > 64)
		wrong("admin user: a name has no space or colon and at most "
		    "64 bytes");
	else
		words_add(&conf->admins, name, hash, line);
	free(name);
	free(hash);
}

/* A NUL would end a string before its end. */
static int
raw_char(void)
{
	int	 c;

	while ((c = getc(file)) == '\0')
		wrong("the file holds a NUL byte");
	return (c);
}

static int
next_char(void)
{
	int	 c = raw_char();

	/* A backslash joins lines. */
	while (c == '\\') {
		if ((c = raw_char()) != '\n') {
			ungetc(c, file);
			return ('\\');
		}
		lineno++;
		c = raw_char();
	}
	return (c);
}

static int
lex_quoted(void)
{
	size_t	 n = 0;
	int	 c;

	while ((c = raw_char()) != '"') {
		if (c == '\\' && (c = raw_char()) == '\n') {
			lineno++;
			continue;
		}
		if (c == EOF || c == '\n') {
			wrong("the string is not closed with \"");
			if (c == '\n')
				ungetc(c, file);
			break;
		}
		if (n == sizeof(token_text) - 1) {
			wrong("the string is too long");
			break;
		}
		token_text[n++] = (char)c;
	}
	token_text[n] = '\0';
	if ((yylval.string = strdup(token_text)) == NULL)
		fatal("strdup");
	return (STRING);
}

static int
lex_word(int c)
{
	const char	*errstr;
	size_t		 i, n = 0;

	do {
		if (n == sizeof(token_text) - 1) {
			wrong("the word is too long");
			break;
		}
		token_text[n++] = (char)c;
		c = next_char();
	} while (c != EOF && !isspace(c) && strchr("\"#,{}", c) == NULL);
	ungetc(c, file);
	token_text[n] = '\0';
	for (i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (strcmp(keywords[i].name, token_text) == 0)
			return (keywords[i].token);
	if (strspn(token_text, "0123456789") == n) {
		yylval.number = strtonum(token_text, 0, LLONG_MAX, &errstr);
		if (errstr != NULL)
			wrong("%s: the number is %s", token_text, errstr);
		return (NUMBER);
	}
	if (strcmp(token_text, "skip_tls:") == 0)
		wrong("skip_tls: true is written `skip tls' here");
	if ((yylval.string = strdup(token_text)) == NULL)
		fatal("strdup");
	return (STRING);
}

static int
yylex(void)
{
	static int	 ended_line = 1;
	int		 c;

	while ((c = next_char()) == ' ' || c == '\t' || c == '\r')
		;
	if (c == '#')
		while (c != '\n' && c != EOF)
			c = raw_char();
	yylval.line = token_line = lineno;
	if (c == EOF) {
		/* The last line may lack its newline. */
		if (ended_line)
			return (0);
		ended_line = 1;
		return (EOL);
	}
	ended_line = c == '\n';
	if (c == '\n') {
		strlcpy(token_text, "end of line", sizeof(token_text));
		lineno++;
		return (EOL);
	}
	if (c == '"')
		return (lex_quoted());
	return (lex_word(c));
}

struct conf *
conf_parse(const char *path)
{
	struct conf	*c;

	if ((file = fopen(path, "r")) == NULL) {
		conf_complain(path, 0, "%s; write one as marionette.conf(5) "
		    "says, or name another with -f", strerror(errno));
		return (NULL);
	}
	file_name = path;
	lineno = 1;
	errors = 0;
	conf = c = conf_new();
	if (yyparse() != 0)
		errors++;
	fclose(file);
	if (errors == 0)
		errors += conf_check(c, path);
	if (errors != 0) {
		conf_free(c);
		return (NULL);
	}
	return (c);
}
