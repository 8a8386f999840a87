-- SHA-256 of the certificate request that made the runner: the same request by the
-- same token is answered again with the same runner.
ALTER TABLE mn_data.runner ADD COLUMN csr_hash bytea;
CREATE UNIQUE INDEX runner_csr ON mn_data.runner (token_id, csr_hash);
