BEGIN TRANSACTION;
CREATE TABLE bodies (
	exchange_id VARCHAR NOT NULL,
	part VARCHAR NOT NULL,
	side VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	call VARCHAR,
	leg VARCHAR,
	content_type VARCHAR,
	size INTEGER NOT NULL,
	sha256 VARCHAR,
	same_as VARCHAR,
	data BLOB,
	chunks BLOB,
	CONSTRAINT pk_bodies PRIMARY KEY (exchange_id, part)
);
CREATE TABLE calls (
	exchange_id VARCHAR NOT NULL,
	call VARCHAR NOT NULL,
	at FLOAT,
	provider VARCHAR,
	model VARCHAR,
	method VARCHAR,
	url VARCHAR,
	streamed BOOLEAN,
	status INTEGER,
	outcome VARCHAR,
	worker VARCHAR,
	finish_reason VARCHAR,
	completion_id VARCHAR,
	provider_request_id VARCHAR,
	server_timing VARCHAR,
	prompt_tokens INTEGER,
	completion_tokens INTEGER,
	cached_tokens INTEGER,
	reasoning_tokens INTEGER,
	total_tokens INTEGER,
	first_byte_s FLOAT,
	latency_s FLOAT,
	body_bytes INTEGER,
	frames INTEGER,
	frames_missing INTEGER NOT NULL,
	same_body BOOLEAN NOT NULL,
	changes JSON,
	repairs JSON,
	request_headers JSON,
	response_headers JSON,
	error_status INTEGER,
	error_type VARCHAR,
	error_code VARCHAR,
	error_param VARCHAR,
	error_message TEXT,
	CONSTRAINT pk_calls PRIMARY KEY (exchange_id, call)
);
CREATE TABLE events (
	exchange_id VARCHAR NOT NULL,
	seq INTEGER NOT NULL,
	at FLOAT NOT NULL,
	name VARCHAR NOT NULL,
	call VARCHAR,
	worker VARCHAR,
	facts JSON,
	CONSTRAINT pk_events PRIMARY KEY (exchange_id, seq)
);
CREATE TABLE exchanges (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	id VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	at FLOAT NOT NULL,
	method VARCHAR,
	path VARCHAR,
	dialect VARCHAR,
	model VARCHAR,
	provider VARCHAR,
	provider_model VARCHAR,
	client VARCHAR,
	peer VARCHAR,
	status INTEGER,
	outcome VARCHAR,
	streamed BOOLEAN,
	finish_reason VARCHAR,
	completion_id VARCHAR,
	provider_request_id VARCHAR,
	server_timing VARCHAR,
	user_id VARCHAR,
	group_id VARCHAR,
	prompt_tokens INTEGER,
	completion_tokens INTEGER,
	cached_tokens INTEGER,
	reasoning_tokens INTEGER,
	total_tokens INTEGER,
	first_byte_s FLOAT,
	latency_s FLOAT,
	token_s FLOAT,
	tokens_per_s FLOAT,
	calls INTEGER NOT NULL,
	body_bytes INTEGER,
	repairs JSON,
	request_type VARCHAR,
	response_type VARCHAR,
	request_headers JSON,
	response_headers JSON,
	error_status INTEGER,
	error_type VARCHAR,
	error_code VARCHAR,
	error_param VARCHAR,
	error_message TEXT,
	CONSTRAINT uq_exchanges_id UNIQUE (id)
);
INSERT INTO "exchanges" VALUES(1,'01OLD','done',1790000000.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE pending (
	exchange_id VARCHAR NOT NULL,
	first_seq INTEGER NOT NULL,
	last_at FLOAT NOT NULL,
	messages BLOB NOT NULL,
	CONSTRAINT pk_pending PRIMARY KEY (exchange_id, first_seq)
);
CREATE TABLE poison (
	number INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	at FLOAT NOT NULL,
	subject VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	data BLOB NOT NULL,
	CONSTRAINT pk_poison PRIMARY KEY (number)
);
CREATE TABLE positions (
	feed VARCHAR NOT NULL,
	seq INTEGER NOT NULL,
	at FLOAT NOT NULL,
	CONSTRAINT pk_positions PRIMARY KEY (feed)
);
CREATE TABLE schema_version (
	version INTEGER NOT NULL,
	CONSTRAINT pk_schema_version PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1);
CREATE INDEX ix_exchanges_at ON exchanges (at);
CREATE INDEX ix_exchanges_provider_request_id ON exchanges (provider_request_id);
CREATE INDEX ix_exchanges_status_at ON exchanges (status, at);
CREATE INDEX ix_exchanges_completion_id ON exchanges (completion_id);
CREATE INDEX ix_exchanges_model_at ON exchanges (model, at);
CREATE INDEX ix_calls_completion_id ON calls (completion_id);
CREATE INDEX ix_calls_provider_request_id ON calls (provider_request_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('exchanges',1);
COMMIT;
