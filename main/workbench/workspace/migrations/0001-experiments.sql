-- Times are milliseconds since 1970, durations seconds, JSON as text.
CREATE TABLE experiments (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  recipe TEXT NOT NULL,
  seed INTEGER NOT NULL,
  created REAL NOT NULL,
  started REAL,
  ended REAL,
  machine TEXT NOT NULL,
  versions TEXT NOT NULL,
  error TEXT
) WITHOUT ROWID;

CREATE TABLE stages (
  experiment TEXT NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  kind TEXT NOT NULL,
  weight REAL NOT NULL,
  state TEXT NOT NULL,
  done REAL NOT NULL DEFAULT 0,
  total REAL NOT NULL DEFAULT 0,
  unit TEXT NOT NULL DEFAULT '',
  started REAL,
  ended REAL,
  seconds REAL NOT NULL DEFAULT 0,
  error TEXT,
  result TEXT,
  PRIMARY KEY (experiment, position)
) WITHOUT ROWID;

CREATE TABLE artifacts (
  experiment TEXT NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  stage TEXT NOT NULL,
  path TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (experiment, name)
) WITHOUT ROWID;

CREATE TABLE logs (
  id INTEGER PRIMARY KEY,
  experiment TEXT NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
  stage TEXT NOT NULL,
  time REAL NOT NULL,
  level TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX logs_of_experiment ON logs (experiment, id);

-- One curve: `<stage>/<metric>` of an experiment.
CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  experiment TEXT NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  UNIQUE (experiment, name)
);

-- A value that is no finite number is NULL.
CREATE TABLE points (
  series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,
  value REAL,
  PRIMARY KEY (series, step)
) WITHOUT ROWID;

-- Least and greatest value of every 16^level steps, so that a chart reads a bounded number of rows.
CREATE TABLE extremes (
  series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
  level INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  low REAL,
  low_step INTEGER,
  high REAL,
  high_step INTEGER,
  PRIMARY KEY (series, level, bucket)
) WITHOUT ROWID;

CREATE TABLE teachers (
  folder TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  card TEXT NOT NULL,
  added REAL NOT NULL
) WITHOUT ROWID;
