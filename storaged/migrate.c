/*
 * migrate.c - schema and functions, before the jail, as the owner.  Files
 * below 900 are applied once each; the files from 900 on, the functions, are
 * applied together whenever they differ from what was applied.  All of it is
 * one transaction under an advisory lock.  Without a database it waits; a
 * database that a newer program has changed is fatal.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "storaged.h"
#include "text.h"

#define CODE_FROM	900	/* the first of the functions' files */
#define HASH_SIZE	65

extern const char *const sql_names[], *const sql_texts[];

static int
file_number(int i)
{
	return ((int)strtol(sql_names[i], NULL, 10));
}

static void
hash_of(int from, int to, char hex[HASH_SIZE])
{
	crypto_hash_sha256_state st;
	uint8_t			 h[crypto_hash_sha256_BYTES];
	int			 i;

	crypto_hash_sha256_init(&st);
	for (i = from; i < to; i++)
		crypto_hash_sha256_update(&st, (const uint8_t *)sql_texts[i],
		    strlen(sql_texts[i]));
	crypto_hash_sha256_final(&st, h);
	text_hex(hex, h, sizeof(h));
}

/* The connection while it lives; anything it refuses to do is fatal. */
static PGresult *
run(PGconn *pg, const char *what, const char *sql, int n,
    const char *const *values)
{
	PGresult	*res;
	ExecStatusType	 st;

	if (n == 0)
		res = PQexec(pg, sql);
	else
		res = PQexecParams(pg, sql, n, NULL, values, NULL, NULL, 0);
	st = PQresultStatus(res);
	if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK)
		return (res);
	if (PQstatus(pg) == CONNECTION_OK)
		fatalx("database: %s: %s", what, PQerrorMessage(pg));
	log_warnx("database: lost in %s", what);
	PQclear(res);
	return (NULL);
}

static int
run_plain(PGconn *pg, const char *what, const char *sql)
{
	PGresult	*res;

	if ((res = run(pg, what, sql, 0, NULL)) == NULL)
		return (-1);
	PQclear(res);
	return (0);
}

/* What was applied as this number: its hash, or "" in hex. */
static int
applied(PGconn *pg, int number, char hex[HASH_SIZE])
{
	const char	*value[1];
	char		 text[16];
	PGresult	*res;

	snprintf(text, sizeof(text), "%d", number);
	value[0] = text;
	if ((res = run(pg, "mn_meta.applied", "SELECT hash FROM "
	    "mn_meta.applied WHERE number = $1", 1, value)) == NULL)
		return (-1);
	strlcpy(hex, PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "",
	    HASH_SIZE);
	PQclear(res);
	return (0);
}

static int
record(PGconn *pg, int number, const char *hex)
{
	const char	*values[3];
	char		 text[16];
	PGresult	*res;

	snprintf(text, sizeof(text), "%d", number);
	values[0] = text;
	values[1] = hex;
	values[2] = MN_VERSION;
	if ((res = run(pg, "mn_meta.applied", "INSERT INTO mn_meta.applied "
	    "(number, hash, program) VALUES ($1, $2, $3) ON CONFLICT "
	    "(number) DO UPDATE SET hash = excluded.hash, program = "
	    "excluded.program, applied_at = now()", 3, values)) == NULL)
		return (-1);
	PQclear(res);
	return (0);
}

/* Fatal when the database knows a migration that this program does not. */
static int
check_age(PGconn *pg, int newest)
{
	PGresult	*res;
	char		 program[32];
	int		 there;

	if ((res = run(pg, "mn_meta.applied", "SELECT number, program FROM "
	    "mn_meta.applied WHERE number < 900 ORDER BY number DESC LIMIT 1",
	    0, NULL)) == NULL)
		return (-1);
	if (PQntuples(res) > 0) {
		there = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
		strlcpy(program, PQgetvalue(res, 0, 1), sizeof(program));
		if (there > newest)
			fatalx("database: its schema is %d (marionette %s), "
			    "this program (%s) knows schemas up to %d; start "
			    "the newer program", there, program, MN_VERSION,
			    newest);
	}
	PQclear(res);
	return (0);
}

static int
apply_schema(PGconn *pg, int i)
{
	char	 want[HASH_SIZE], have[HASH_SIZE];

	hash_of(i, i + 1, want);
	if (applied(pg, file_number(i), have) == -1)
		return (-1);
	if (strcmp(want, have) == 0)
		return (0);
	if (have[0] != '\0')
		fatalx("database: %s was applied in another form, by another "
		    "build of marionette; this one cannot use it",
		    sql_names[i]);
	log_info("database: applying %s", sql_names[i]);
	if (run_plain(pg, sql_names[i], sql_texts[i]) == -1 ||
	    record(pg, file_number(i), want) == -1)
		return (-1);
	return (0);
}

static int
apply_code(PGconn *pg, int from, int to)
{
	char	 want[HASH_SIZE], have[HASH_SIZE];
	int	 i;

	hash_of(from, to, want);
	if (applied(pg, CODE_FROM, have) == -1)
		return (-1);
	if (strcmp(want, have) == 0)
		return (0);
	log_info("database: replacing the functions");
	for (i = from; i < to; i++)
		if (run_plain(pg, sql_names[i], sql_texts[i]) == -1)
			return (-1);
	return (record(pg, CODE_FROM, want));
}

static int
apply(PGconn *pg)
{
	const char	*role[1];
	PGresult	*res;
	int		 i, code = -1, newest = 0;

	if (run_plain(pg, "lock", "SELECT pg_advisory_lock(1835937377, 1)") ==
	    -1 || run_plain(pg, "begin", "BEGIN") == -1 ||
	    run_plain(pg, "mn_meta", "CREATE SCHEMA IF NOT EXISTS mn_meta; "
	    "CREATE TABLE IF NOT EXISTS mn_meta.applied (number integer "
	    "PRIMARY KEY, hash text NOT NULL, program text NOT NULL, "
	    "applied_at timestamptz NOT NULL DEFAULT now())") == -1)
		return (-1);
	for (i = 0; sql_names[i] != NULL; i++) {
		if (file_number(i) < CODE_FROM)
			newest = file_number(i);
		else if (code == -1)
			code = i;
	}
	if (check_age(pg, newest) == -1)
		return (-1);
	for (i = 0; sql_names[i] != NULL && file_number(i) < CODE_FROM; i++)
		if (apply_schema(pg, i) == -1)
			return (-1);
	for (i = code; sql_names[i] != NULL; i++)
		;
	if (apply_code(pg, code, i) == -1)
		return (-1);
	role[0] = config_role();
	if ((res = run(pg, "grants", "SELECT mn.grant_to($1)", 1, role)) ==
	    NULL)
		return (-1);
	PQclear(res);
	return (run_plain(pg, "commit", "COMMIT"));
}

/* A refusal that no waiting will end. */
static int
is_hopeless(const char *why)
{
	return (strstr(why, "does not exist") != NULL ||
	    strstr(why, "authentication failed") != NULL);
}

void
migrate(void)
{
	PGconn		*pg;
	unsigned int	 delay = 100, told = 0;
	int		 rc;

	if (sodium_init() == -1)
		fatalx("libsodium");
	for (;;) {
		pg = config_connect_owner();
		if (PQstatus(pg) == CONNECTION_OK) {
			rc = apply(pg);
			PQfinish(pg);
			if (rc == 0)
				return;
			told = 0;
		} else {
			if (told++ % 10 == 0)
				log_warnx("database: %.*s %s",
				    (int)strcspn(PQerrorMessage(pg), "\n"),
				    PQerrorMessage(pg),
				    is_hopeless(PQerrorMessage(pg)) ?
				    "(waiting for somebody to put it right)" :
				    "(waiting for it)");
			PQfinish(pg);
		}
		usleep(delay * 1000);
		if ((delay *= 2) > 5000)
			delay = 5000;
	}
}
