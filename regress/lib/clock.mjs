// The real time of some programs, and of nobody else: what the machine says and so
// many seconds more (chaos/step.c).

import fs from "node:fs";
import path from "node:path";

// env is for those programs; O is the object directory, dir one that they may read.
export class Clock {
	constructor(dir, O) {
		this.file = path.join(dir, "step");
		this.shim = path.join(O, "regress/step.so");
		this.env = { STEP: this.file, LD_PRELOAD: this.shim };
		fs.writeFileSync(this.file, Buffer.alloc(8));
		this.seconds = 0;
	}

	// So many seconds off; in place, for it is mapped.
	set(seconds) {
		const ns = Buffer.alloc(8);

		this.seconds = seconds;
		ns.writeBigInt64LE(BigInt(seconds) * 1000000000n);
		fs.writeFileSync(this.file, ns, { flag: "r+" });
	}
}
