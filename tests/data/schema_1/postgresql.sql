CREATE TABLE consumer_positions (
 name VARCHAR(100) NOT NULL, 
 position VARCHAR(50) NOT NULL, 
 applied BIGINT NOT NULL, 
 PRIMARY KEY (name)
);
CREATE TABLE consumer_seen (
 name VARCHAR(100) NOT NULL, 
 event_id VARCHAR(200) NOT NULL, 
 number BIGINT NOT NULL, 
 PRIMARY KEY (name, event_id)
);
CREATE INDEX consumer_seen_number ON consumer_seen (name, number);
CREATE TABLE outbox (
 id BIGSERIAL NOT NULL, 
 consumer VARCHAR(50) NOT NULL, 
 channel VARCHAR(200) NOT NULL, 
 key VARCHAR(500) NOT NULL, 
 dedup VARCHAR(500) NOT NULL, 
 body JSON NOT NULL, 
 created_at DOUBLE PRECISION NOT NULL, 
 due_at DOUBLE PRECISION NOT NULL, 
 attempts INTEGER NOT NULL, 
 state VARCHAR(10) NOT NULL, 
 last_error TEXT, 
 answer JSON, 
 sent_at DOUBLE PRECISION, 
 claimed_by VARCHAR(40), 
 claimed_until DOUBLE PRECISION, 
 PRIMARY KEY (id), 
 CONSTRAINT outbox_dedup UNIQUE (consumer, dedup)
);
CREATE INDEX outbox_by_due ON outbox (consumer, state, channel, due_at);
CREATE INDEX outbox_by_key ON outbox (consumer, channel, state, key, id);
CREATE TABLE audit_checkpoints (
 size BIGINT NOT NULL, 
 note BYTEA NOT NULL, 
 PRIMARY KEY (size)
);
CREATE TABLE audit_entries (
 idx BIGINT NOT NULL, 
 leaf_hash BYTEA NOT NULL, 
 seal BYTEA NOT NULL, 
 appended_at DOUBLE PRECISION NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 type TEXT NOT NULL, 
 event_id TEXT, 
 agent TEXT, 
 threat TEXT, 
 correlation_id TEXT, 
 payload BYTEA, 
 deletion BYTEA, 
 PRIMARY KEY (idx)
);
CREATE INDEX audit_entries_agent ON audit_entries (agent) WHERE agent IS NOT NULL;
CREATE INDEX audit_entries_at ON audit_entries (at);
CREATE INDEX audit_entries_correlation_id ON audit_entries (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX audit_entries_event_id ON audit_entries (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX audit_entries_threat ON audit_entries (threat) WHERE threat IS NOT NULL;
CREATE TABLE audit_holds (
 id TEXT NOT NULL, 
 pattern TEXT, 
 correlation_id TEXT, 
 reason TEXT NOT NULL, 
 by TEXT NOT NULL, 
 made_at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (id)
);
CREATE TABLE audit_log (
 id INTEGER NOT NULL, 
 origin TEXT NOT NULL, 
 public_key BYTEA NOT NULL, 
 PRIMARY KEY (id)
);
CREATE TABLE audit_nodes (
 level INTEGER NOT NULL, 
 idx BIGINT NOT NULL, 
 hash BYTEA NOT NULL, 
 PRIMARY KEY (level, idx)
);
CREATE TABLE metrics_buckets (
 step INTEGER NOT NULL, 
 bucket BIGINT NOT NULL, 
 first_position VARCHAR(50) NOT NULL, 
 PRIMARY KEY (step, bucket)
);
CREATE TABLE metrics_exemplars (
 series VARCHAR(40) NOT NULL, 
 label VARCHAR(250) NOT NULL, 
 correlation_id VARCHAR(250) NOT NULL, 
 trace_id VARCHAR(32) NOT NULL, 
 value DOUBLE PRECISION NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (series, label)
);
CREATE TABLE metrics_health (
 event_id VARCHAR(250) NOT NULL, 
 position VARCHAR(50) NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 severity VARCHAR(20) NOT NULL, 
 kind VARCHAR(40) NOT NULL, 
 module VARCHAR(250) NOT NULL, 
 outcome VARCHAR(20) NOT NULL, 
 correlation_id VARCHAR(250) NOT NULL, 
 PRIMARY KEY (event_id)
);
CREATE INDEX ix_metrics_health_at ON metrics_health (at);
CREATE TABLE metrics_kept (
 step INTEGER NOT NULL, 
 since BIGINT NOT NULL, 
 PRIMARY KEY (step)
);
CREATE TABLE metrics_origin (
 id INTEGER NOT NULL, 
 event_id VARCHAR(250) NOT NULL, 
 PRIMARY KEY (id)
);
CREATE TABLE metrics_points (
 step INTEGER NOT NULL, 
 series VARCHAR(40) NOT NULL, 
 bucket BIGINT NOT NULL, 
 label VARCHAR(250) NOT NULL, 
 count BIGINT NOT NULL, 
 sum BIGINT NOT NULL, 
 error BIGINT NOT NULL, 
 PRIMARY KEY (step, series, bucket, label)
);
CREATE INDEX metrics_points_bucket ON metrics_points (step, bucket);
CREATE TABLE metrics_threats (
 threat_id VARCHAR(250) NOT NULL, 
 first_position VARCHAR(50) NOT NULL, 
 type VARCHAR(250) NOT NULL, 
 severity VARCHAR(20) NOT NULL, 
 status VARCHAR(20) NOT NULL, 
 correlation_id VARCHAR(250) NOT NULL, 
 detected_at DOUBLE PRECISION, 
 investigated_at DOUBLE PRECISION, 
 closed_at DOUBLE PRECISION, 
 resolved_at DOUBLE PRECISION, 
 updated_at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (threat_id)
);
CREATE INDEX ix_metrics_threats_closed_at ON metrics_threats (closed_at);
CREATE INDEX ix_metrics_threats_detected_at ON metrics_threats (detected_at);
CREATE TABLE incidents_decisions (
 incident VARCHAR(20) NOT NULL, 
 event_id TEXT NOT NULL, 
 agent TEXT NOT NULL, 
 action TEXT NOT NULL, 
 resource TEXT NOT NULL, 
 effect TEXT NOT NULL, 
 rule_id TEXT, 
 reason TEXT NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (incident, event_id)
);
CREATE TABLE incidents_events (
 event_id TEXT NOT NULL, 
 incident VARCHAR(20) NOT NULL, 
 type TEXT NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (event_id)
);
CREATE INDEX incidents_events_of ON incidents_events (incident, at);
CREATE TABLE incidents_health (
 story TEXT NOT NULL, 
 number BIGINT NOT NULL, 
 kind TEXT NOT NULL, 
 module TEXT NOT NULL, 
 state VARCHAR(10) NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (story, number)
);
CREATE TABLE incidents_incidents (
 id VARCHAR(20) NOT NULL, 
 number INTEGER NOT NULL, 
 story TEXT NOT NULL, 
 episode INTEGER NOT NULL, 
 title TEXT NOT NULL, 
 severity VARCHAR(10) NOT NULL, 
 state VARCHAR(12) NOT NULL, 
 owner TEXT, 
 opened_at DOUBLE PRECISION NOT NULL, 
 updated_at DOUBLE PRECISION NOT NULL, 
 resolved_at DOUBLE PRECISION, 
 previous VARCHAR(20), 
 version INTEGER NOT NULL, 
 PRIMARY KEY (id), 
 CONSTRAINT incidents_one_per_episode UNIQUE (story, episode), 
 UNIQUE (number)
);
CREATE INDEX incidents_by_state ON incidents_incidents (state, opened_at);
CREATE TABLE incidents_mirrors (
 incident VARCHAR(20) NOT NULL, 
 system VARCHAR(20) NOT NULL, 
 generation INTEGER NOT NULL, 
 key TEXT, 
 handle TEXT, 
 url TEXT, 
 remote TEXT, 
 shown VARCHAR(12) NOT NULL, 
 pending BOOLEAN NOT NULL, 
 making_since DOUBLE PRECISION, 
 noting BIGINT, 
 noted BIGINT NOT NULL, 
 noted_at DOUBLE PRECISION NOT NULL, 
 polled_at DOUBLE PRECISION NOT NULL, 
 error TEXT, 
 PRIMARY KEY (incident, system)
);
CREATE INDEX incidents_mirrors_by_key ON incidents_mirrors (system, key);
CREATE TABLE incidents_numbers (
 name VARCHAR(20) NOT NULL, 
 last INTEGER NOT NULL, 
 PRIMARY KEY (name)
);
CREATE TABLE incidents_recent (
 event_id TEXT NOT NULL, 
 story TEXT NOT NULL, 
 agent TEXT NOT NULL, 
 action TEXT NOT NULL, 
 resource TEXT NOT NULL, 
 effect TEXT NOT NULL, 
 rule_id TEXT, 
 reason TEXT NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (event_id)
);
CREATE INDEX incidents_recent_agent ON incidents_recent (agent, at);
CREATE INDEX incidents_recent_at ON incidents_recent (at);
CREATE INDEX incidents_recent_story ON incidents_recent (story, at);
CREATE TABLE incidents_threats (
 threat TEXT NOT NULL, 
 story TEXT NOT NULL, 
 type TEXT NOT NULL, 
 severity TEXT NOT NULL, 
 source TEXT NOT NULL, 
 status TEXT NOT NULL, 
 status_at DOUBLE PRECISION NOT NULL, 
 detected_at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (threat)
);
CREATE INDEX incidents_threats_of ON incidents_threats (story);
CREATE TABLE incidents_timeline (
 id BIGSERIAL NOT NULL, 
 incident VARCHAR(20) NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 last_at DOUBLE PRECISION NOT NULL, 
 kind VARCHAR(12) NOT NULL, 
 text TEXT NOT NULL, 
 by TEXT, 
 event_id TEXT, 
 likeness TEXT NOT NULL, 
 count INTEGER NOT NULL, 
 PRIMARY KEY (id)
);
CREATE INDEX incidents_timeline_likeness ON incidents_timeline (incident, likeness, last_at);
CREATE INDEX incidents_timeline_order ON incidents_timeline (incident, id);
CREATE TABLE soc_alerts (
 id VARCHAR(20) NOT NULL, 
 key VARCHAR(500) NOT NULL, 
 current BOOLEAN NOT NULL, 
 name VARCHAR(300) NOT NULL, 
 severity VARCHAR(10) NOT NULL, 
 labels JSON NOT NULL, 
 summary TEXT NOT NULL, 
 event VARCHAR(300) NOT NULL, 
 correlation_id TEXT NOT NULL, 
 latest_story TEXT NOT NULL, 
 state VARCHAR(10) NOT NULL, 
 period INTEGER NOT NULL, 
 demand INTEGER NOT NULL, 
 count BIGINT NOT NULL, 
 first_at DOUBLE PRECISION NOT NULL, 
 fired_at DOUBLE PRECISION NOT NULL, 
 last_at DOUBLE PRECISION NOT NULL, 
 resolved_at DOUBLE PRECISION, 
 resolved_by TEXT NOT NULL, 
 held_until DOUBLE PRECISION, 
 expires_at DOUBLE PRECISION, 
 acknowledged_by TEXT, 
 acknowledged_at DOUBLE PRECISION, 
 PRIMARY KEY (id)
);
CREATE INDEX soc_alerts_key ON soc_alerts (key, current);
CREATE INDEX soc_alerts_state ON soc_alerts (state, last_at);
CREATE INDEX soc_alerts_story ON soc_alerts (latest_story);
CREATE TABLE soc_groups (
 id VARCHAR(20) NOT NULL, 
 route VARCHAR(100) NOT NULL, 
 labels JSON NOT NULL, 
 dedup_key VARCHAR(255), 
 due_at DOUBLE PRECISION, 
 inhibited BOOLEAN NOT NULL, 
 PRIMARY KEY (id)
);
CREATE INDEX soc_groups_due ON soc_groups (due_at);
CREATE TABLE soc_members (
 alert_id VARCHAR(20) NOT NULL, 
 group_id VARCHAR(20) NOT NULL, 
 PRIMARY KEY (alert_id, group_id)
);
CREATE INDEX soc_members_group ON soc_members (group_id);
CREATE TABLE soc_notices (
 id BIGSERIAL NOT NULL, 
 group_id VARCHAR(20) NOT NULL, 
 notifier VARCHAR(100) NOT NULL, 
 action VARCHAR(12) NOT NULL, 
 alerts JSON NOT NULL, 
 summary TEXT NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 held BOOLEAN NOT NULL, 
 summary_id BIGINT, 
 PRIMARY KEY (id)
);
CREATE INDEX soc_notices_group ON soc_notices (group_id, at);
CREATE INDEX soc_notices_held ON soc_notices (held, summary_id);
CREATE INDEX soc_notices_rate ON soc_notices (notifier, at);
CREATE TABLE soc_silences (
 id VARCHAR(20) NOT NULL, 
 matchers JSON NOT NULL, 
 starts_at DOUBLE PRECISION NOT NULL, 
 ends_at DOUBLE PRECISION NOT NULL, 
 by TEXT NOT NULL, 
 reason TEXT NOT NULL, 
 created_at DOUBLE PRECISION NOT NULL, 
 PRIMARY KEY (id)
);
CREATE TABLE soc_summaries (
 id BIGSERIAL NOT NULL, 
 notifier VARCHAR(100) NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 open BOOLEAN NOT NULL, 
 PRIMARY KEY (id)
);
CREATE TABLE soc_told (
 group_id VARCHAR(20) NOT NULL, 
 notifier VARCHAR(100) NOT NULL, 
 standing VARCHAR(12) NOT NULL, 
 marks JSON NOT NULL, 
 at DOUBLE PRECISION NOT NULL, 
 acknowledged BOOLEAN NOT NULL, 
 number INTEGER NOT NULL, 
 PRIMARY KEY (group_id, notifier)
);
