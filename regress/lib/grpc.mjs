// gRPC as the rest of the world speaks it (@grpc/grpc-js), with our .proto:
// nothing on this side of the wire was written here.

import crypto from "node:crypto";
import path from "node:path";
import tls from "node:tls";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { top } from "./place.mjs";
import { LONG_MS } from "./wait.mjs";

const OPTIONS = { keepCase: true, longs: Number, enums: String, defaults: true,
    oneofs: true };
const load = (file) => grpc.loadPackageDefinition(
    loader.loadSync(path.join(top, file), OPTIONS));

export const { RunnerService } = load("imsg/runner.proto").marionette.v1;
export const { Health } = load("regress/lib/health.proto").grpc.health.v1;
export { grpc };

export function der_to_pem(der) {
	return "-----BEGIN CERTIFICATE-----\n" + Buffer.from(der)
	    .toString("base64").replace(/.{1,64}/g, "$&\n") +
	    "-----END CERTIFICATE-----\n";
}

// The pin of a runner token, behind its dot: SHA-256 in hex or base64url.
export function token_pin(token) {
	const pin = token.split(".")[1] ?? "";
	const raw = Buffer.from(pin, /^[0-9a-f]{64}$/i.test(pin) ? "hex" :
	    "base64url");

	return raw.length === 32 ? raw : null;
}

// The certificates that a server shows, DER, its own first.
export function chain_of(address) {
	const [host, port] = address.split(/:(?=\d+$)/);

	return new Promise((done, fail) => {
		const s = tls.connect({ host, port, ALPNProtocols: ["h2"],
		    rejectUnauthorized: false }, () => {
			const chain = [];
			let c = s.getPeerCertificate(true);
			while (c?.raw && !chain.some((d) => d.equals(c.raw))) {
				chain.push(c.raw);
				c = c.issuerCertificate;
			}
			s.destroy();
			done(chain);
		});
		s.on("error", fail);
	});
}

// The CA that the token pins, from what the server shows; an error if it is
// not there.
export async function pinned_ca(address, token) {
	const pin = token_pin(token);

	if (pin === null)
		throw new Error("the runner token carries no CA");
	for (const der of await chain_of(address))
		if (crypto.createHash("sha256").update(der).digest().equals(pin))
			return der_to_pem(der);
	throw new Error(`${address} does not show the CA of the token`);
}

// ca null: plaintext.  The CA is pinned and signs nothing else, so the name in
// the certificate is not looked at.
export function credentials(ca, key, certificate) {
	if (ca === null)
		return grpc.credentials.createInsecure();
	return grpc.credentials.createSsl(Buffer.from(ca),
	    key ? Buffer.from(key) : null,
	    certificate ? Buffer.from(certificate) : null,
	    { checkServerIdentity: () => undefined });
}

// A unary call as a promise; a refusal is an Error with .code and .details.
export function call(client, method, message, metadata = {}, ms = LONG_MS) {
	const m = new grpc.Metadata();

	for (const [k, v] of Object.entries(metadata))
		m.set(k, v);
	return new Promise((done, fail) => client[method](message, m,
	    { deadline: Date.now() + ms },
	    (e, answer) => e ? fail(e) : done(answer)));
}
