// The first bytes of a TLS client, for a test that says them in pieces.

import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";

export async function client_hello() {
	const listener = net.createServer().listen(0, "127.0.0.1");
	await once(listener, "listening");
	const client = tls.connect(listener.address().port, "127.0.0.1",
	    { ALPNProtocols: ["h2"] });
	client.on("error", () => {});
	const [s] = await once(listener, "connection");
	const [hello] = await once(s, "data");
	s.destroy();
	client.destroy();
	listener.close();
	return hello;
}
