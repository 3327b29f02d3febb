-- Schema 3 of run.db. Text that a model wrote is always inside a blob (see codec.py), so that no
-- sequence of characters can upset SQLite or a reader; the other columns are ours.

create table info (key text primary key, value text not null);

create table step (
  step integer primary key,
  attempt integer not null,
  finished real not null,          -- seconds since the epoch, for display only
  seconds real not null,
  version integer not null,
  metrics text not null,           -- JSON
  state blob,                      -- kept for the last step and for steps with a checkpoint
  times text not null default '{}' -- JSON: seconds by phase and part; no seed decides them
);

create table goalpost (id text primary key, source text not null, question blob not null);

create table prompt (key text primary key, text blob not null);

create table task (key text primary key, kind text not null, body blob not null);

create table proposal (
  number integer primary key,      -- order of commit
  id text not null unique,
  step integer not null references step (step),
  stage text not null,
  axis text not null,
  parent text not null,            -- goalpost id for a lemma, proposal id for a lift
  goalpost text not null references goalpost (id),
  verdict text not null,           -- 'accepted', or the rejection
  correct integer,
  total integer,
  reward real not null,
  advantage real,
  nearest text,
  similarity real,
  task_key text,
  label text not null              -- first line of the message, made safe
);
create index proposal_step on proposal (step);
create index proposal_parent on proposal (parent);
-- These two hold all that the board and the funnel count: a run of 60,000 proposals in milliseconds.
create index proposal_goalpost on proposal (goalpost, verdict, stage, step);
create index proposal_verdict on proposal (verdict, stage, axis, step);

create table proposal_body (number integer primary key references proposal (number), body blob not null);

create view node as select * from proposal where verdict = 'accepted';

create table rollout (
  number integer primary key,
  id text not null unique,
  step integer not null references step (step),
  purpose text not null,
  role text not null,
  kind text not null,
  task_key text,
  origin text not null,
  grp text not null,
  verdict text not null,           -- the outcome; for proposals 'accepted' or the rejection
  reward real,
  advantage real,
  tokens integer not null,
  finish text not null,
  version integer not null,
  prompt_key text not null references prompt (key)
);
create index rollout_step on rollout (step);
create index rollout_origin on rollout (origin, purpose, kind, step, verdict);
create index rollout_group on rollout (grp);
create index rollout_filter on rollout (purpose, role, kind, verdict, step, reward);

create table rollout_text (
  number integer primary key references rollout (number),
  completion blob,                 -- null when store.keep_rollouts is off
  detail blob,
  trace blob
);

create table goalpost_attempt (
  step integer not null,
  goalpost text not null references goalpost (id),
  policy text not null,
  correct integer not null,
  total integer not null,
  temperature real not null,
  solution blob,
  primary key (goalpost, policy, step, temperature)
);

create table eval (
  benchmark text not null,
  policy text not null,
  step integer not null,
  question text not null,
  label text not null,
  correct integer not null,
  total integer not null,
  temperature real not null,
  pass_at text not null,           -- JSON: k to pass@k
  tags text not null default '[]', -- JSON: what else tells questions apart
  primary key (benchmark, policy, step, temperature, question)
);

pragma user_version = 3;
