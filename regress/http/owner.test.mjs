// What waits for an owner when that dies, or when there is very much of it.

import http from "node:http";
import net from "node:net";
import { failed, is, start, test } from "./world.mjs";

const world = await start("api");
const SILENT = { "X-Request-ID": "do-silent" };
const sleep = (ms) => new Promise((ok) => setTimeout(ok, ms));

// The status, or why there is none.
function status(path, headers = {}) {
	return new Promise((ok) => {
		const req = http.get({ host: "127.0.0.1", port: world.port,
		    path, agent: false, timeout: 5000, headers:
		    { Authorization: "Bearer mk_good", ...headers } }, (res) => {
			ok(res.statusCode);
			req.destroy();
		});
		req.on("timeout", () => req.destroy(new Error("no answer")));
		req.on("error", (e) => ok(e.message));
	});
}

// sessiond dies before it has said a word about the stream.
for (const [name, how, want] of [
    ["is asked again", "kill", 200], ["stays away", "gone", 503]])
	await test(`events: sessiond dies before it begins, and ${name}`,
	    async () => {
		const got = status("/api/v1/events", SILENT);

		await sleep(200);
		await world.say(`${how} sessiond`);
		try {
			is(await got, want);
		} finally {
			if (how === "gone")
				await world.say("back sessiond");
		}
	});

// More wrong keys than there is room for credentials.
await test("keys: who is known is not forgotten for who is not", async () => {
	const N = 2200, c = net.connect(world.port, "127.0.0.1");
	let got = 0;

	is(await status("/api/v1/me"), 200);
	const n = +await world.say("count AUTH_KEY");
	for (let i = 0; i < N; i++)
		c.write("GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n" +
		    `Authorization: Bearer mk_wrong${i}\r\n\r\n`);
	await new Promise((ok, no) => {
		c.on("data", (d) => {
			got += d.toString("latin1").split("HTTP/1.1 401")
			    .length - 1;
			if (got === N)
				ok();
		});
		c.on("close", () => no(new Error(`${got} answers`)));
	});
	c.destroy();
	is(await status("/api/v1/me"), 200);
	is(+await world.say("count AUTH_KEY") - n, N);
});

await world.stop();
process.exit(failed > 0 ? 1 : 0);
