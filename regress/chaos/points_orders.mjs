// Short circles, each for a few messages that the long ones reach seldom: what
// is said of sessions that no runner has, what a follower of logs and of old
// events takes, and questions whose run is suspended under them.

import { setTimeout as pause } from "node:timers/promises";

const NOBODY = "custom:nobody";		// no runner has it
const T = "/api/v1/tasks", S = "/api/v1/sessions", P = "/api/v1/permissions";
const KEY = { api_key: "sk-ant-test-points-0002",
    base_url: "http://localhost:1" };
const FINE = [200, 202, 204, 404, 409];
const ID = /^id: (\S+)$/m;
const GLANCE_MS = 10000;

// How a circle in points_circles.mjs names what it makes.
export const orders = ({ AGENT, name, task, ended, retry }) => {
	const session = (w, agent, more = {}) => w.make("session", S, { agent,
	    name: name(), ...more });
	const tell = (w, at) => w.say("POST", at, {}, FINE);

	// A key that is not known; a configuration sealed, and thrown away.
	async function papers(w) {
		if (!w.admin)
			await w.api.as({ token: `mk_${name()}` })
			    .get("/api/v1/me").catch(() => {});
		const at = w.admin ? "/admin/api/v1/agent-configs" :
		    "/api/v1/agent-configs";
		const c = await w.make("config", at, { name: name(),
		    agent: NOBODY, ...KEY });

		await w.say("DELETE", `/api/v1/agent-configs/${c.id}`, undefined,
		    FINE);
		await pause(200);
	}

	// Asked and taken back.
	async function withdrawn(w) {
		const s = await session(w, AGENT);

		for (let n = 0; n < 4 && !w.books.stopped; n++)
			await ended(w, s, await task(w, s, "withdraw lines"));
		await w.say("DELETE", `${S}/${s.id}`, undefined, FINE);
	}

	// Everything that needs no runner.
	async function unattended(w) {
		const s = await session(w, NOBODY, KEY);
		const at = `${S}/${s.id}`;

		for (let n = 0; n < 4 && !w.books.stopped; n++) {
			await w.say("PATCH", at, { name: name() }, [200]);
			const t = await task(w, s, "never");
			await tell(w, `${T}/${t.id}/cancel`);
			await retry(w, t);
			await tell(w, `${T}/${t.id}/cancel`);
			await tell(w, `${at}/suspend`);
			await tell(w, `${at}/resume`);
			await w.say("PUT", `${at}/credential`, KEY, FINE);
			await tell(w, `${P}/perm_00000000000000000000000000` +
			    "/approve");
		}
		await w.say("DELETE", at, undefined, FINE);
	}

	// A question is asked, and its session suspended: the next run asks anew.
	async function orphan(w) {
		const s = await session(w, AGENT, { idle_timeout_seconds: 0 });
		const t = await task(w, s, "ask");

		for (let n = 0; n < 50 && !w.books.stopped; n++) {
			const { json } = await w.get(`${P}?task_id=${t.id}`);
			if (json?.items?.length > 0)
				break;
			await pause(200);
		}
		await tell(w, `${S}/${s.id}/suspend?wait=5`);
		await tell(w, `${S}/${s.id}/resume`);
		await ended(w, s, t);
		await w.say("DELETE", `${S}/${s.id}`, undefined, FINE);
	}

	// Follows until something has come, or an id when that is wanted.
	async function glance(w, at, id) {
		const r = await fetch(w.url + at, { headers: w.auth,
		    signal: AbortSignal.timeout(GLANCE_MS) });
		let text = "";

		if (![200, 429, 503].includes(r.status))
			throw new Error(`${at}: ${r.status}`);
		for await (const part of r.body) {
			text += Buffer.from(part).toString();
			if (!id || ID.test(text))
				break;
		}
		return ID.exec(text)?.[1];
	}

	// Logs of a task that does not end, of none, and events from the first on.
	async function glances(w) {
		const s = await session(w, NOBODY);
		const t = await task(w, s, "never");

		for (let n = 0; n < 5 && !w.books.stopped; n++) {
			await w.get(`${T}/task_00000000000000000000000000` +
			    "/logs/stream", [404]);
			try {
				await glance(w, `${T}/${t.id}/logs/stream`);
				w.first ??= await glance(w, "/api/v1/events",
				    true);
				await glance(w, "/api/v1/events?after=" +
				    encodeURIComponent(w.first));
			} catch (e) {
				// Cut by the server's death, or nothing came.
				if (e.name !== "TimeoutError" &&
				    e.cause?.code === undefined)
					throw e;
			}
			await pause(50);
		}
		await w.say("DELETE", `${S}/${s.id}`, undefined, FINE);
	}

	return [papers, withdrawn, unattended, orphan, glances];
};
