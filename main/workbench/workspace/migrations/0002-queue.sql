-- The queue outlives the workbench: place -1 is the experiment that runs, 0 the next one.
CREATE TABLE queue (
  experiment TEXT PRIMARY KEY REFERENCES experiments (id) ON DELETE CASCADE,
  place INTEGER NOT NULL
) WITHOUT ROWID;
