"""The tables of the list of threats, and the triggers that keep them equal to the documents."""

from __future__ import annotations

from brain.charter import Severity, ThreatStatus
from brain.store.schema import Schema

COLLECTION = "threats"
"""The collection of the documents."""
EPOCH = 1_600_000_000
"""From this Unix time on moments are counted where they are summed, so that sums stay small."""


def _names(of: type[ThreatStatus] | type[Severity]) -> str:
    return ", ".join(f"'{one}'" for one in of)


_TEXT = "CASE WHEN json_valid(CAST({data} AS TEXT)) THEN CAST({data} AS TEXT) ELSE '{{}}' END"
_NUMBER = "json_type(j, '{path}') IN ('integer', 'real')"
_FITS = f"""coalesce(json_extract(j, '$.status'), 'OPEN') IN ({_names(ThreatStatus)})
    AND json_extract(j, '$.severity') IN ({_names(Severity)})
    AND {_NUMBER.format(path="$.detected_at")}
    AND json_type(j, '$.type') = 'text' AND json_type(j, '$.source') = 'text'"""
# What is no threat has a row without a status, which no list and no count has.
_ROW = f"""SELECT k, at,
    CASE WHEN fits THEN coalesce(json_extract(j, '$.status'), 'OPEN') END,
    CASE WHEN fits THEN json_extract(j, '$.severity') END,
    CASE WHEN fits THEN json_extract(j, '$.type') END, CASE WHEN fits THEN json_extract(j, '$.source') END,
    CASE WHEN {_NUMBER.format(path="$.metadata.first_seen")} AND json_extract(j, '$.metadata.first_seen') > 0
        AND json_extract(j, '$.metadata.first_seen') <= at
        THEN CAST(round((at - json_extract(j, '$.metadata.first_seen')) * 1000000) AS INTEGER) END,
    CASE WHEN json_extract(j, '$.history[0].old') = 'OPEN'
        THEN CAST(round((json_extract(j, '$.history[0].at') - at) * 1000000) AS INTEGER) END,
    CASE WHEN {_NUMBER.format(path="$.mitigated_at")}
        THEN CAST(round((json_extract(j, '$.mitigated_at') - at) * 1000000) AS INTEGER) END
FROM (SELECT DISTINCT *, coalesce({_FITS}, 0) AS fits,
    CASE WHEN coalesce({_FITS}, 0) THEN json_extract(j, '$.detected_at') END AS at FROM ({{source}}))"""
# DISTINCT keeps SQLite from working out the inner expressions again for each use of them.
_GIVEN = f"SELECT DISTINCT {{key}} AS k, {_TEXT} AS j"

PUT = "INSERT INTO threat_list " + _ROW.format(source=_GIVEN.format(key=":key", data=":data"))
"""Lists a document: its key and data."""
_NEW = _ROW.format(source=_GIVEN.format(key="new.key", data="new.data"))
_OLD_FILE = f"""{_GIVEN.format(key="key", data="data")} FROM documents
    WHERE collection = '{COLLECTION}' AND key > :after
        AND NOT EXISTS (SELECT 1 FROM threat_list WHERE threat_list.key = documents.key) ORDER BY key LIMIT :most"""
FILL = (
    f"INSERT INTO threat_list {_ROW.format(source=_OLD_FILE)}",
    f"""SELECT max(key) FROM (
        SELECT key FROM documents WHERE collection = '{COLLECTION}' AND key > :after ORDER BY key LIMIT :most)""",
)
"""Lists the documents after a key, at most so many that were there before the list; the second gives the last key."""
FILLED = ("INSERT OR IGNORE INTO threat_list_filled VALUES (1)",)

_SUMMED = (("detected", "detect"), ("investigated", "investigate"), ("mitigated", "mitigate"))
_COUNTS = "number, at" + "".join(f", {count}, {total}" for count, total in _SUMMED)


def _listed(row: str) -> str:
    """What of a document the list has; most changes of a threat, such as more evidence, are of something else."""
    return f"""json_extract({_TEXT.format(data=f"{row}.data")}, '$.status', '$.severity', '$.type', '$.source',
        '$.detected_at', '$.metadata.first_seen', '$.history[0]', '$.mitigated_at')"""


def _counted(row: str, sign: str) -> str:
    """The statement that adds a row of the list to the counts, or takes it away."""
    values = [f"{sign}1", f"{sign}CAST(round(({row}.at - {EPOCH}) * 1000) AS INTEGER)"]
    for _, total in _SUMMED:
        values += [f"{sign}({row}.{total} IS NOT NULL)", f"{sign}coalesce({row}.{total}, 0)"]
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS.split(", "))
    return f"""INSERT INTO threat_counts SELECT {row}.type, {row}.status, {row}.severity, {", ".join(values)}
        WHERE true ON CONFLICT (type, status, severity) DO UPDATE SET {added}"""


TABLES = (
    """CREATE TABLE threat_list (
        key TEXT PRIMARY KEY, at REAL, status TEXT, severity TEXT, type TEXT, source TEXT,
        detect INTEGER, investigate INTEGER, mitigate INTEGER) WITHOUT ROWID""",
    "CREATE INDEX threat_list_status ON threat_list (status, severity, at, key)",
    "CREATE INDEX threat_list_type ON threat_list (type, status, severity, at, key)",
    "CREATE INDEX threat_list_source ON threat_list (source, status, severity, at, key)",
    f"""CREATE TABLE threat_counts (
        type TEXT, status TEXT, severity TEXT, {_COUNTS.replace(",", " INTEGER NOT NULL,")} INTEGER NOT NULL,
        PRIMARY KEY (type, status, severity)) WITHOUT ROWID""",
    f"""CREATE TRIGGER threat_list_counted AFTER INSERT ON threat_list WHEN new.status IS NOT NULL
        BEGIN {_counted("new", "")}; END""",
    f"""CREATE TRIGGER threat_list_uncounted AFTER DELETE ON threat_list WHEN old.status IS NOT NULL
        BEGIN {_counted("old", "-")}; DELETE FROM threat_counts WHERE number = 0; END""",
)
_TRIGGERS = (
    f"""CREATE TRIGGER threat_list_added AFTER INSERT ON documents WHEN new.collection = '{COLLECTION}'
        BEGIN DELETE FROM threat_list WHERE key = new.key; INSERT INTO threat_list {_NEW}; END""",
    f"""CREATE TRIGGER threat_list_changed AFTER UPDATE ON documents
        WHEN new.collection = '{COLLECTION}' AND {_listed("new")} IS NOT {_listed("old")}
        BEGIN DELETE FROM threat_list WHERE key = new.key; INSERT INTO threat_list {_NEW}; END""",
    f"""CREATE TRIGGER threat_list_deleted AFTER DELETE ON documents WHEN old.collection = '{COLLECTION}'
        BEGIN DELETE FROM threat_list WHERE key = old.key; END""",
    "CREATE TABLE threat_list_filled (one INTEGER PRIMARY KEY)",
)
SCHEMA = Schema("threats", (";".join((*TABLES, *_TRIGGERS)),))
"""The list in the file of an SQLiteStore."""
