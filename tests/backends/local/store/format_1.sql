PRAGMA application_id = 1298232425;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE documents (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
INSERT INTO "documents" VALUES('','count','3');
INSERT INTO "documents" VALUES('','names','["a","\u00fc"]');
INSERT INTO "documents" VALUES('share','06gc8m3fx00000000000000001','{"by":"ana","at":1790000000.0}');
CREATE TABLE feedback (
    run_id TEXT NOT NULL,
    user TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, user)
) WITHOUT ROWID;
INSERT INTO "feedback" VALUES('06gc8m3fx00000000000000001','ana','{"run_id":"06gc8m3fx00000000000000001","user":"ana","rating":1,"comment":"good","corrected":null,"updated_at":1790000020.0,"scale":"thumbs"}');
INSERT INTO "feedback" VALUES('06gc8m3fx00000000000000001','bo','{"run_id":"06gc8m3fx00000000000000001","user":"bo","rating":4,"comment":"","corrected":{"rows":[]},"updated_at":1790000021.0,"scale":"stars"}');
CREATE TABLE pools (
    predictor TEXT NOT NULL PRIMARY KEY,
    wake INTEGER NOT NULL DEFAULT 0,
    turn INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
INSERT INTO "pools" VALUES('plan',1,2,'The image is being pulled.');
CREATE TABLE queue (
    predictor TEXT NOT NULL,
    turn INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    user TEXT NOT NULL,
    visible_at REAL NOT NULL,
    owner TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    progress_fraction REAL,
    progress_message TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    PRIMARY KEY (predictor, turn, run_id) -- due, entries: fair order
) WITHOUT ROWID;
INSERT INTO "queue" VALUES('plan',2,'06gc8m3qq00000000000000003','ana',1790000076.0,'w1',1,0.5,'halfway',0,2);
INSERT INTO "queue" VALUES('plan',4,'06gc8m3zh00000000000000005','ana',0.0,'',0,NULL,'',0,0);
CREATE TABLE release (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
INSERT INTO "release" VALUES(1,'{"app":"activity","title":"Activity","number":7,"created_at":1790000000.0,"components":[{"name":"plan","hash":"hash","label":"v3","predictors":[{"name":"plan","kind":"batch","component":"plan","doc":"Plan.","parameters":{"type":"object","properties":{}},"result":{"type":"string"},"resources":{"memory_mb":512,"timeout_s":30.0,"cpu":0.25,"retries":0,"max_workers":1,"concurrency":0,"provisioned":0,"gpu":0,"schedule":"","secrets":[]},"examples":[],"calls":[]}],"trouble":null,"image":""}],"details":{"description":""}}');
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    predictor TEXT NOT NULL,
    user TEXT NOT NULL,
    status TEXT NOT NULL,
    parent TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    rev INTEGER NOT NULL,
    inputs TEXT NOT NULL,
    result TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "runs" VALUES('06gc8m3fx00000000000000001','plan','ana','succeeded','','nightly',2,'{"city":"Z\u00fcrich","n":1}','{"rows":[1,2.5,null,"\u00e9"]}','{"kind":"batch","created_at":1790000001.0,"version":"v3","attempt":1,"failures":0,"losses":0,"owner":"w1","started_at":1790000010.0,"finished_at":1790000012.0,"cancel_requested":false,"cold_start":false,"failure":null}');
INSERT INTO "runs" VALUES('06gc8m3kt00000000000000002','plan','bo','failed','','',2,'{"city":"Z\u00fcrich","n":2}','null','{"kind":"batch","created_at":1790000002.0,"version":"v3","attempt":1,"failures":1,"losses":0,"owner":"w1","started_at":1790000013.0,"finished_at":1790000015.0,"cancel_requested":false,"cold_start":false,"failure":{"kind":"exception","message":"KeyError: ''x''","hint":"Look.","traceback":"Traceback \u2026"}}');
INSERT INTO "runs" VALUES('06gc8m3qq00000000000000003','plan','ana','running','','',1,'{"city":"Z\u00fcrich","n":3}','null','{"kind":"batch","created_at":1790000003.0,"version":"v3","attempt":1,"failures":0,"losses":0,"owner":"w1","started_at":1790000016.0,"finished_at":null,"cancel_requested":false,"cold_start":false,"failure":null}');
INSERT INTO "runs" VALUES('06gc8m3vm00000000000000004','plan','ana','cancelled','','',1,'{"city":"Z\u00fcrich","n":4}','null','{"kind":"batch","created_at":1790000004.0,"version":"","attempt":0,"failures":0,"losses":0,"owner":"","started_at":null,"finished_at":1790000017.0,"cancel_requested":true,"cold_start":false,"failure":null}');
INSERT INTO "runs" VALUES('06gc8m3zh00000000000000005','plan','ana','queued','','',0,'{"city":"Z\u00fcrich","n":5}','null','{"kind":"batch","created_at":1790000005.0,"version":"","attempt":0,"failures":0,"losses":0,"owner":"","started_at":null,"finished_at":null,"cancel_requested":false,"cold_start":false,"failure":null}');
INSERT INTO "runs" VALUES('06gc8m43e00000000000000006','greet','ana','succeeded','','',0,'{"city":"Z\u00fcrich","n":6}','"Hello"','{"kind":"realtime","created_at":1790000006.0,"version":"v1","attempt":1,"failures":0,"losses":0,"owner":"","started_at":1790000006.0,"finished_at":1790000006.25,"cancel_requested":false,"cold_start":true,"failure":null}');
INSERT INTO "runs" VALUES('06gc8m47b00000000000000007','greet','ana','succeeded','06gc8m3fx00000000000000001','',0,'{"city":"Z\u00fcrich","n":7}','"Hi"','{"kind":"realtime","created_at":1790000007.0,"version":"v1","attempt":1,"failures":0,"losses":0,"owner":"","started_at":1790000007.0,"finished_at":1790000007.5,"cancel_requested":false,"cold_start":false,"failure":null}');
CREATE TABLE slots (
    predictor TEXT NOT NULL,
    number INTEGER NOT NULL,
    token TEXT NOT NULL,
    version TEXT NOT NULL,
    taken_at REAL NOT NULL,
    handle TEXT NOT NULL,
    renewed_at REAL NOT NULL,
    PRIMARY KEY (predictor, number)
) WITHOUT ROWID;
INSERT INTO "slots" VALUES('plan',0,'w1','hash',1790000009.0,'pid:1',1790000016.0);
CREATE INDEX runs_listed ON runs (id) WHERE parent = '';
CREATE INDEX runs_of_user ON runs (user, id, predictor) WHERE parent = '';
CREATE INDEX runs_of_predictor ON runs (predictor, id) WHERE parent = '';
CREATE INDEX runs_not_succeeded ON runs (id, user, predictor) WHERE parent = '' AND status != 'succeeded';
CREATE UNIQUE INDEX runs_once ON runs (user, predictor, idempotency_key) WHERE idempotency_key != '';
CREATE UNIQUE INDEX queue_of_run ON queue (run_id);
CREATE INDEX queue_of_user ON queue (predictor, user, turn);
CREATE INDEX queue_in_time ON queue (predictor, visible_at) WHERE attempt > 0;
CREATE INDEX feedback_in_time ON feedback (json_extract(body, '$.updated_at'), run_id, user);
COMMIT;
