// Every answer that a test sees, held against frontd/openapi.yaml by a
// validator that was not written here (ajv): the route, the status, the body.

import fs from "node:fs";
import path from "node:path";
import Ajv from "ajv/dist/2020.js";
import formats from "ajv-formats";
import YAML from "yaml";
import { top } from "./place.mjs";

export class Contract {
	constructor(file = path.join(top, "frontd/openapi.yaml")) {
		this.doc = YAML.parse(fs.readFileSync(file, "utf8"));
		this.ajv = new Ajv({ strict: false, allErrors: true });
		formats(this.ajv);
		this.ajv.addSchema(this.doc, "api");
		this.schemas = new Map();
		this.seen = new Set();		// "GET /path 200"
		this.wrong = new Set();
		this.routes = Object.keys(this.doc.paths).map((p) => ({ path: p,
		    match: new RegExp("^" + p.replace(/[.]/g, "\\$&")
			.replace(/\{[^}]+\}/g, "[^/]+") + "$") }));
	}

	// A reference of the document, followed; with where it stands.
	at(pointer) {
		const node = pointer.split("/").slice(1).reduce((n, k) =>
		    n?.[k.replaceAll("~1", "/").replaceAll("~0", "~")], this.doc);

		return node?.$ref ? this.at(node.$ref.slice(1)) :
		    { node, pointer };
	}

	validator(pointer) {
		if (!this.schemas.has(pointer))
			this.schemas.set(pointer, this.ajv.compile(
			    { $ref: `api#${encodeURI(pointer)}` }));
		return this.schemas.get(pointer);
	}

	// r: what lib/http.mjs answers.
	check(method, target, r) {
		const { pathname } = new URL(target, "http://x");
		const route = this.routes.find((x) => x.match.test(pathname));
		const say = (what) => this.wrong.add(`${method} ` +
		    `${route?.path ?? pathname} ${r.status}: ${what}`);
		const at = (...keys) => "/" + keys.map((k) => String(k)
		    .replaceAll("~", "~0").replaceAll("/", "~1")).join("/");
		let where = "/components/responses/Error";

		if (route && this.doc.paths[route.path][method.toLowerCase()]) {
			const op = at("paths", route.path, method.toLowerCase());
			const { responses } = this.at(op).node;
			this.seen.add(`${method} ${route.path} ${r.status}`);
			if (!responses[r.status] && r.status < 400)
				return void say("a status it does not name");
			where = `${op}/responses/${responses[r.status] ?
			    r.status : "default"}`;
		} else if (r.status < 400)
			return void say("a route it does not name");
		const { node, pointer } = this.at(where);
		const type = (r.headers["content-type"] ?? "").split(";")[0];
		if (!node.content)
			return r.raw.length > 0 ? void say("a body") : undefined;
		if (r.raw.length === 0)
			return void say("no body");
		if (!node.content[type])
			return void say(`Content-Type ${type}`);
		if (!/json/.test(type) || !node.content[type].schema)
			return;
		const valid = this.validator(`${pointer}/content/` +
		    `${type.replace("/", "~1")}/schema`);
		if (!valid(r.json))
			say(valid.errors.map((e) => `${e.instancePath} ` +
			    e.message).slice(0, 4).join("; "));
	}
}
