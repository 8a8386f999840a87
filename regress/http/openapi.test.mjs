// The contract and the route table say the same: openapi.sh does the work.

import { spawnSync } from "node:child_process";

const { status } = spawnSync("sh", ["regress/http/openapi.sh"],
    { stdio: "inherit" });
process.exit(status ?? 1);
