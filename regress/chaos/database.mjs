// What the database has, asked as its owner past the server.

import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { psql, sql } from "../lib/database.mjs";
import { until } from "../lib/wait.mjs";

const ROWS_MS = 600000;		// of the longest run

// Whoever is connected is cut, and nobody can connect for so long.
export async function deny(server, ms) {
	const ask = (text) => sql(server, text, "postgres");
	const allow = (yes) => ask("ALTER DATABASE marionette " +
	    `ALLOW_CONNECTIONS ${yes}`).then(() => true);

	await allow(false);
	try {
		await ask("SELECT pg_terminate_backend(pid) FROM " +
		    "pg_stat_activity WHERE datname = 'marionette'");
		await pause(ms);
	} finally {
		await until("the database to be open again", () => allow(true),
		    30000, 100);
	}
}

// There may be more of them than anybody wants to have twice in memory: through
// a file, a row a line, some at a time.
async function rows(server, query) {
	const file = path.join(server.dir, "rows");
	const all = [];

	await psql(server, "marionette", ["-v", "FETCH_COUNT=1000", "-o", file,
	    "-c", "SET mn.tenant = '*'",
	    "-c", `SELECT row_to_json(x) FROM (${query}) x`], ROWS_MS);
	for await (const text of readline.createInterface({
	    input: fs.createReadStream(file) }))
		all.push(JSON.parse(text));
	fs.rmSync(file);
	return all;
}

// For compare.mjs, what is of the tenant that has the books.
export async function database(server, tenant = "default") {
	const theirs = `tenant_id = '${tenant}'`;
	const ask = (query) => rows(server, query);

	return {
		tasks: await ask("SELECT id, status, attempt, run_id, result, " +
		    "waiting_for, split_part(prompt, ' ', 2) AS mark " +
		    `FROM mn_data.task WHERE ${theirs}`),
		runs: await ask("SELECT id, task_id, attempt, status, " +
		    "runner_id, epoch FROM mn_data.run " +
		    `WHERE ${theirs}`),
		log: await ask("SELECT task_id, attempt, first, lines " +
		    "FROM mn_data.log WHERE task_id IN (SELECT id " +
		    `FROM mn_data.task WHERE ${theirs}) ` +
		    "ORDER BY task_id, attempt, first"),
		permissions: await ask("SELECT id, run_id, request, status " +
		    "FROM mn_data.permission WHERE run_id IN (SELECT id " +
		    `FROM mn_data.run WHERE ${theirs})`),
		events: await ask("SELECT i.type, i.resource_id " +
		    "FROM mn_data.event, unnest(items) WITH ORDINALITY AS i " +
		    `WHERE ${theirs} AND i.type IS NOT NULL ` +
		    "ORDER BY xid, seq, i.ordinality"),
		sessions: await ask("SELECT id, epoch FROM mn_data.session " +
		    `WHERE ${theirs}`)
	};
}
