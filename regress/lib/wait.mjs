// Waiting for something to become true, with a bound.  Tests never sleep for a
// fixed time: they wait for what they need and say what it was when it did not
// come.  The bound is there so that a test ends, not to be met: it is far beyond
// what a busy machine needs.
export const LONG_MS = 60000;

// Calls fn until it returns something true and returns that.  An exception of
// fn counts as "not yet" and is told when the time is over.
export async function until(what, fn, ms = LONG_MS, every = 25) {
	const end = Date.now() + ms;
	let last;

	for (;;) {
		try {
			const v = await fn();
			if (v)
				return v;
			last = undefined;
		} catch (e) {
			last = e;
		}
		if (Date.now() >= end)
			throw new Error(`waited ${ms} ms for ${what}` +
			    (last ? `: ${last.message}` : ""), { cause: last });
		await new Promise((r) => setTimeout(r, every));
	}
}

// The promise, or an error after ms.
export function within(what, ms, promise) {
	let timer;
	const late = new Promise((_, fail) => {
		timer = setTimeout(() =>
		    fail(new Error(`waited ${ms} ms for ${what}`)), ms);
	});

	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
