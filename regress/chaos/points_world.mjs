// A server under everything that its clients and runners do, and its books.

import { free_port } from "../lib/place.mjs";
import { start_server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { explain, read_book } from "./books.mjs";
import { compare } from "./compare.mjs";
import { database } from "./database.mjs";
import { check, follow, there } from "./points_check.mjs";
import { AGENT, circles } from "./points_circles.mjs";
import { Fleet } from "./points_fleet.mjs";
import { steady } from "./points_runner.mjs";
import { Books, Will } from "./points_will.mjs";

const RUNNERS = 20;
const FLEETS = "fleet";			// its people answer whatever is asked

// certs: where certs.sh made some.  fleet: the program.
export async function start_world(certs, fleet) {
	const port = await free_port();
	// Not each message in its log: there are too many of them.
	const server = await start_server({ quiet: true, conf: ["heartbeat 1",
	    "suspend after 10", "limit connections 2000",
	    `listen api on localhost port ${port} tls certificate ` +
	    `"${certs}/server.crt" key "${certs}/server.key"`] });
	const w = new World(server);

	for (let i = 0; i < RUNNERS; i++)
		w.list.push(await steady(w.address, w.token, [AGENT],
		    `points-${i}`, w.books.book));
	w.fleet = new Fleet(server, fleet, certs, port, await server.key(
	    { tenant: FLEETS }), await server.runner_token(
	    { shared: true }));
	w.there = await there(server);
	w.done = circles(w, w.wills);
	return w;
}

class World {
	constructor(server) {
		const books = new Books();
		const web = new Will(server.api, books);
		const local = new Will(server.local, books);

		web.url = server.url;
		web.auth = { authorization: `Bearer ${server.api.o.token}` };
		local.admin = true;
		local.url = server.admin_url;
		local.auth = { authorization: "Basic " + Buffer.from(
		    `admin:${server.admin_password}`).toString("base64") };
		this.server = server;
		this.books = books;
		this.wills = [web, local];
		this.list = [];
		this.starting = null;
		this.ending = false;
		this.address = `localhost:${server.ports.runner}`;
		this.token = async () => (await local.make("token",
		    "/admin/api/v1/runner-tokens", { pool: "default",
		    name: "enrol" })).token;
		this.follower = follow(server);
	}

	// Not while the fleet reads again what it wrote: it asks once.
	cut() {
		if (!this.ending)
			this.fleet.cut();
	}

	// It may have been told to die while it starts, too.
	async start_again() {
		const { server } = this;
		const ready = async () => (await server.local
		    .get("/health/ready").catch(() => null))?.status === 200;

		do {
			server.logs.push(server.proc.out + server.proc.err);
			server.launch();
			await until("the server to be ready, or gone", async () =>
			    server.proc.status !== null || ready(), 60000, 50);
		} while (server.proc.status !== null);
		this.starting = null;
	}

	// The parent may have died: it is started again, once for all who wait.
	is_up() {
		return until("the server to be up", async () => {
			if (this.server.proc.status !== null)
				await (this.starting ??= this.start_again());
			return (await this.server.local.get("/health/ready"))
			    .status === 200;
		}, 60000, 20);
	}

	// The fleet's books, and what the database has of its tenant.
	async compare() {
		const book = await read_book(this.fleet.book);
		const db = await database(this.server, FLEETS);

		console.log(`# the fleet: ${db.tasks.length} tasks, ` +
		    `${db.runs.length} runs, ${book.decided.length} answers, ` +
		    `${book.event.length} events followed`);
		const found = compare(book, db);
		explain(book, db, found);
		for (const f of found)
			this.books.is_wrong(f.claim, f.text);
	}

	// It becomes quiet, and the books are compared: what is wrong.
	async end() {
		await this.is_up();
		console.log("# it becomes quiet");
		this.ending = true;
		const lost = await this.fleet.end();
		if (lost !== "")
			this.books.is_wrong("the fleet's own books agree", lost);
		await this.books.stop(this.done);
		console.log("# nobody asks any more");
		await check(this.server, this.books, this, this.follower);
		await this.compare();
		await Promise.all(this.list.map((r) => r.stop()));
		return this.books.wrong;
	}
}
