// Who an independent runner is: a key and a certificate request made by the
// openssl program, enrolled through Enroll, and what only the holder of that
// key can do: sign a Hello and open what is sealed to it.

import crypto from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { call, credentials, der_to_pem, pinned_ca, RunnerService }
    from "./grpc.mjs";
import { run } from "./proc.mjs";

// Its ES module wants a newer node than Debian 12 has; the other form does not.
export const sodium = createRequire(import.meta.url)("libsodium-wrappers");

const KEYS = { p256: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ed25519: ["ed25519"], rsa: ["rsa:2048"] };

// -> {key (PEM), csr (DER)}
export async function make_csr(kind = "p256") {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), "mn-key-"));
	const at = (name) => path.join(dir, name);

	try {
		const r = await run(["openssl", "req", "-new", "-newkey",
		    ...KEYS[kind], "-nodes", "-subj", "/CN=runner", "-keyout",
		    at("key"), "-outform", "DER", "-out", at("csr")]);
		if (r.code !== 0)
			throw new Error(`openssl: ${r.err}`);
		return { key: fs.readFileSync(at("key"), "utf8"),
		    csr: fs.readFileSync(at("csr")) };
	} finally {
		fs.rmSync(dir, { recursive: true });
	}
}

// o: address, token, name, agents, labels, resources, version, hostname,
// sandbox_mode, key (p256, ed25519), ca (PEM; null: plaintext; otherwise it is
// found by the token's pin).
export async function enrol(o) {
	const ca = o.ca !== undefined ? o.ca :
	    await pinned_ca(o.address, o.token);
	const { key, csr } = await make_csr(o.key);
	const client = new RunnerService(o.address, credentials(ca));

	try {
		const r = await call(client, "Enroll", {
			name: o.name ?? "independent", version: o.version ?? "9.9",
			hostname: o.hostname ?? "elsewhere.example",
			agents: o.agents ?? ["custom:demo"],
			sandbox_mode: o.sandbox_mode ?? "none",
			labels_json: JSON.stringify(o.labels ?? {}),
			resources_json: JSON.stringify(o.resources ??
			    { cpus: 2, memory_mb: 1024, disk_mb: 1024 }),
			csr_der: csr }, { "x-runner-token": o.token });
		return { address: o.address, key, ca, id: r.runner_id,
		    certificate: der_to_pem(r.certificate_der),
		    ca_given: der_to_pem(r.ca_der),
		    agents: o.agents ?? ["custom:demo"],
		    heartbeat_seconds: r.heartbeat_seconds,
		    lost_after_seconds: r.lost_after_seconds };
	} finally {
		client.close();
	}
}

// A fresh X25519 key pair to seal to; raw 32-byte halves.
export function sealing_pair() {
	const { publicKey, privateKey } = crypto.generateKeyPairSync("x25519");
	const raw = (key, part) =>
	    Buffer.from(key.export({ format: "jwk" })[part], "base64url");

	return { public: raw(publicKey, "x"), secret: raw(privateKey, "d") };
}

// crypto_box_seal, opened.
export async function open_sealed(pair, sealed) {
	await sodium.ready;
	return Buffer.from(sodium.crypto_box_seal_open(sealed, pair.public,
	    pair.secret)).toString();
}

// "marionette-hello-v1" runner id NUL sealing key nonce, by the certificate's
// key: ECDSA with SHA-256 in DER, or Ed25519.
export function sign_hello(identity, sealing_key, nonce) {
	const key = crypto.createPrivateKey(identity.key);

	return crypto.sign(key.asymmetricKeyType === "ec" ? "sha256" : null,
	    Buffer.concat([Buffer.from("marionette-hello-v1"),
		Buffer.from(identity.id), Buffer.from([0]), sealing_key, nonce]),
	    key);
}
