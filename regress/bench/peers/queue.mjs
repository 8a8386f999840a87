// queue.mjs graphile-worker|pg-boss JOBS CONNECTIONS - jobs added one call at a
// time by so many callers, as an API does, and worked by so many workers until
// the last is done, both at once, over so many connections in all.  PGHOST, PGUSER and PGDATABASE say where.
// Prints `jobs_per_second N'; exits 1 when a job was not done once.

import pg from "pg";

const [, , name, jobs, connections] = process.argv;
const n = Number(jobs), c = Number(connections);
const payload = (i) => ({ number: i, session_id:
    "sess_01m8ag7gcesw2j0vd0q5ws72dy",
    prompt: `fleet 0a1b2c3d-${i} lines=20 bytes=100` });
const done = new Uint8Array(n);
let count = 0, over;
const all = new Promise((yes) => { over = yes; });

function did({ number }) {
	done[number]++;
	if (++count >= n)
		over();
}

// By c callers, each of whom waits for his answer.
async function add_all(add) {
	let next = 0;

	await Promise.all(Array.from({ length: c }, async () => {
		while (next < n)
			await add(next++);
	}));
}

async function graphile_worker() {
	const { Logger, makeWorkerUtils, run } = await import(
	    "graphile-worker");
	const logger = new Logger(() => () => {});
	const pool = new pg.Pool({ max: c });
	const utils = await makeWorkerUtils({ pgPool: pool, logger });

	await utils.migrate();
	const runner = await run({ pgPool: pool, logger, concurrency: c,
	    noHandleSignals: true, pollInterval: 100,
	    taskList: { job: async (p) => did(p) } });
	return { add: (i) => utils.addJob("job", payload(i)),
	    stop: () => runner.stop() };
}

// Its work() polls twice a second at most; fetch() and complete() are what it
// is made of, here in batches without a pause.
async function pg_boss() {
	const { default: Boss } = await import("pg-boss");
	const boss = new Boss({ max: c, supervise: false,
	    schedule: false });
	let stopping = false;

	await boss.start();
	await boss.createQueue("jobs");
	const work = async () => {
		while (!stopping) {
			const got = await boss.fetch("jobs", { batchSize: 20 });
			if (got.length === 0) {
				await new Promise((r) => setTimeout(r, 5));
				continue;
			}
			got.forEach((j) => did(j.data));
			await boss.complete("jobs", got.map((j) => j.id));
		}
	};
	const workers = Array.from({ length: c }, work);
	return { add: (i) => boss.send("jobs", payload(i)),
	    stop: async () => {
		stopping = true;
		await Promise.all(workers);
		await boss.stop({ graceful: false });
	} };
}

const queue = await (name === "pg-boss" ? pg_boss() : graphile_worker());
const begun = process.hrtime.bigint();
await add_all(queue.add);
await all;
await queue.stop();
const s = Number(process.hrtime.bigint() - begun) / 1e9;
console.log(`jobs_per_second ${(n / s).toFixed(1)}`);
process.exit(done.every((x) => x === 1) ? 0 : 1);
