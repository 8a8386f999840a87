// The page of points.h, as a test writes it, and the points that there are.

import fs from "node:fs";

const SIZE = 16, PROCS = 16;
const ARMED = 1, HIT = 2;
const WHERE = ["before", "after", "before commit", "with its outcome unknown",
    "after commit"];

// Cannot be hit by a healthy server and its clients, and why.
const NEVER = [
    [/PROC_ACCUSED/, "nobody breaks the protocol"],
    [/PROC_VERBOSE|PROC_FD/, "this version never sends it"],
    [/api .* (KEY_CREATE|KEY_LIST|KEY_REVOKE|RUNNER_TOKEN_\w+)$/,
	"the listener of the API has no such route"],
    [/api .* AUTH_PASSWORD$/, "passwords are for the admin listener"],
    [/(sessiond|taskd|tunneld|providerd|storaged) .*PROC_DRAINED/,
	"only the fronts and runnerd are asked to drain"],
    [/RUNNER_LOST/, "only after ten minutes (`lost after'), or when runnerd " +
	"dies between a release and its word"],
];

export class Page {
	// types: MSG_MAX.
	constructor(file, types) {
		this.types = types;
		this.fd = fs.openSync(file, "w+");
		fs.ftruncateSync(this.fd, PROCS * SIZE + PROCS * types * 4);
	}

	number(at) {
		const b = Buffer.alloc(4);

		fs.readSync(this.fd, b, 0, 4, at);
		return b.readUInt32LE(0);
	}

	// How often it was sent until now; of a statement, asked for.
	sent(p) {
		return this.number(PROCS * SIZE +
		    (p.asker * this.types + p.type) * 4);
	}

	write(proc, state, type = 0, where = 0, skip = 0) {
		const b = Buffer.alloc(SIZE);

		b.writeUInt32LE(state, 0);
		b.writeUInt16LE(type, 4);
		b.writeUInt16LE(where, 6);
		b.writeUInt32LE(skip, 8);
		// What is ordered first, then that it is.
		fs.writeSync(this.fd, b, 4, SIZE - 4, proc * SIZE + 4);
		fs.writeSync(this.fd, b, 0, 4, proc * SIZE);
	}

	arm(p, skip = 0) {
		this.write(p.proc, 0);
		this.write(p.proc, ARMED, p.type, p.where, skip);
	}

	is_hit(proc) {
		return this.number(proc * SIZE) === HIT;
	}

	// Was it hit?
	disarm(proc) {
		const was = this.is_hit(proc);

		this.write(proc, 0);
		return was || this.is_hit(proc);
	}
}

// Sent only when a process starts, or all of them stop.
const STARTS = /PROC_(READY|START|OPTION|SECRET|LISTENER|CONFIG|PEER)/;
const LEARNS = /_LOAD|_DONE|RUN_EXPECTED|CA_CERT|EVENT_FEED|KEY_CLAIM|_HORIZON/;
export const at_start = (p) => STARTS.test(p.name) || LEARNS.test(p.name);
// What is said to a runnerd that has just come, of runs that it has not met.
export const at_runnerd = (p) => /RUN_FOUND/.test(p.name);
// Nothing refuses a healthy server's statement but an absent database.
export const at_refusal = (p) => /storaged .* REFUSED/.test(p.name);
// Of a stream that has been open for a while.
export const at_length = (p) => /AUTH_RENEW/.test(p.name);
export const at_stop = (p) => /PROC_DRAIN/.test(p.name);

// file: `process number MESSAGE number write' lines of gen.awk.
export function points(file) {
	const lines = fs.readFileSync(file, "utf8").trim().split("\n")
	    .map((l) => l.split(" "));
	const storaged = Number(lines.find((l) => l[0] === "storaged")[1]);
	const out = [];
	const add = (who, proc, message, type, where, asker) => {
		const name = `${who} ${WHERE[where]} ${message}`;
		out.push({ name, who, proc, type, where, asker: asker ?? proc,
		    never: NEVER.find(([r]) => r.test(name))?.[1] });
	};

	for (const [who, proc, message, type, write] of lines) {
		for (const where of [0, 1])
			add(who, Number(proc), message, Number(type), where);
		if (write === "write" && !out.some((p) => p.where === 2 &&
		    p.type === Number(type)))
			for (const where of [2, 3, 4])
				add("storaged", storaged, message,
				    Number(type), where, Number(proc));
	}
	return out;
}
