// The database of a server, asked as its owner past the server.

import fs from "node:fs";
import { run } from "./proc.mjs";

export const pgbin = fs.readdirSync("/usr/lib/postgresql")
    .map((v) => `/usr/lib/postgresql/${v}/bin`).at(-1);

export async function psql(server, database, args, ms) {
	const r = await run([`${pgbin}/psql`, "-XAtq", "-v", "ON_ERROR_STOP=1",
	    "-h", `${server.dir}/r/postgres`, "-p", `${server.port ?? 5432}`,
	    "-U", "marionette_owner", "-d", database, ...args], { ms });

	if (r.code !== 0)
		throw new Error(`psql: ${r.err}`);
	return r.out;
}

export const sql = (server, text, database = "marionette") =>
    psql(server, database, ["-c", text], 60000);
