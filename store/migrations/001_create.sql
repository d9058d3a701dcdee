-- least program: 1
-- Keys of text compare byte by byte, whatever the database's language: that is quicker, and the same everywhere.

create table {{.schema}}.schema_version (
  singleton     boolean primary key default true check (singleton),
  version       integer not null,
  least_program integer not null
);
comment on table {{.schema}}.schema_version is 'The last migration, and the version that a program must know to use the schema.';
insert into {{.schema}}.schema_version (version, least_program) values (1, 1);

create table {{.schema}}.settings (
  singleton        boolean     primary key default true check (singleton),
  partitions       smallint    not null,
  event_partitions smallint    not null,
  created_at       timestamptz not null default pg_catalog.now(),
  maintenance      text        not null default ''
);
comment on table {{.schema}}.settings is 'What the namespace is divided into, and what is under way that keeps workers out.';
insert into {{.schema}}.settings (partitions, event_partitions) values ({{.partitions}}, {{.eventPartitions}});

-- Every commit updates a row here. The space left in each page keeps these updates off the index (HOT).
create table {{.schema}}.partitions (
  partition          smallint    primary key,
  owner              text        not null default '',
  epoch              bigint      not null default 0,
  layout             bigint      not null default 0,
  position           bigint      not null default 0,
  published_position bigint      not null default 0,
  event_stream       timestamptz,
  command_stream     timestamptz,
  command_cursor     bigint      not null default 0,
  cursor_time        timestamptz,
  recorded_at        timestamptz
) with (fillfactor = 10);
comment on table {{.schema}}.partitions is 'Who owns each partition, and how far it has come.';
insert into {{.schema}}.partitions (partition) select pg_catalog.generate_series(0, {{.partitions}} - 1);

-- A body is kept as it was written. The codec says how it reads: 1 is JSON that jsonb can hold, 2 is other JSON, 0 is anything else.
create table {{.schema}}.log (
  partition      smallint    not null,
  position       bigint      not null,
  aggregate_type text        collate "C" not null,
  aggregate_id   text        collate "C" not null,
  sequence       bigint      not null check (sequence > 0),
  type           text        collate "C" not null,
  version        integer     not null,
  codec          smallint    not null,
  body           bytea       not null,
  metadata       jsonb       not null,
  recorded_at    timestamptz not null,
  primary key (partition, position),
  unique (aggregate_id, aggregate_type, sequence, partition)
){{.partitionBy}};
comment on table {{.schema}}.log is 'The log: positions count from 1 in each partition, sequences from 1 in each aggregate.';

-- The cases need no guard against errors, which parallel plans do not allow.
create view {{.schema}}.events as
  select partition, position, aggregate_type, aggregate_id, sequence, type, version,
    case codec
      when 1 then pg_catalog.convert_from(body, 'UTF8')::jsonb
      when 2 then pg_catalog.to_jsonb(pg_catalog.convert_from(body, 'UTF8'))
      else pg_catalog.to_jsonb(pg_catalog.encode(body, 'hex'))
    end as body,
    metadata, recorded_at
  from {{.schema}}.log;
comment on view {{.schema}}.events is 'The log for people: bodies are jsonb.';

-- The same for an index of the user's own, which takes only what is immutable. A view of it would take twice the time.
create function {{.schema}}.json(body bytea, codec smallint) returns jsonb language sql immutable parallel safe
return case codec
  when 1 then pg_catalog.convert_from(body, 'UTF8')::jsonb
  when 2 then pg_catalog.to_jsonb(pg_catalog.convert_from(body, 'UTF8'))
  else pg_catalog.to_jsonb(pg_catalog.encode(body, 'hex'))
end;
comment on function {{.schema}}.json is 'A body of the log as the view of the events shows it.';

create table {{.schema}}.snapshots (
  partition      smallint not null,
  aggregate_type text     collate "C" not null,
  aggregate_id   text     collate "C" not null,
  sequence       bigint   not null,
  version        integer  not null,
  body           bytea    not null,
  primary key (aggregate_id, aggregate_type, partition)
){{.partitionBy}};
comment on table {{.schema}}.snapshots is 'States that stand in for the events up to their sequence. May be deleted at any time.';

create table {{.schema}}.receipts (
  partition      smallint    not null,
  aggregate_type text        collate "C" not null,
  aggregate_id   text        collate "C" not null,
  command_id     text        collate "C" not null,
  status         text        collate "C" not null,
  sequence       bigint      not null,
  position       bigint      not null,
  events         integer     not null,
  error          json,
  at             timestamptz not null,
  primary key (aggregate_id, command_id, aggregate_type, partition)
){{.partitionBy}};
create index receipts_at on {{.schema}}.receipts (at);
comment on table {{.schema}}.receipts is 'The outcome of each command, so that none takes effect twice.';
{{range $i := .eventPartitions}}
create table {{$.schema}}.log_{{$i}} partition of {{$.schema}}.log
  for values with (modulus {{$.eventPartitions}}, remainder {{$i}});
create table {{$.schema}}.snapshots_{{$i}} partition of {{$.schema}}.snapshots
  for values with (modulus {{$.eventPartitions}}, remainder {{$i}});
create table {{$.schema}}.receipts_{{$i}} partition of {{$.schema}}.receipts
  for values with (modulus {{$.eventPartitions}}, remainder {{$i}});
{{end}}
create table {{.schema}}.projections (
  name       text        collate "C" not null,
  version    integer     not null,
  aggregates text[]      not null,
  set_up_at  timestamptz not null,
  primary key (name, version)
);
comment on table {{.schema}}.projections is 'The read models that are kept in the transactions of commits.';

create table {{.schema}}.dead_letters (
  partition       smallint    not null,
  id              text        collate "C" not null,
  subject         text        not null,
  headers         jsonb       not null,
  body            bytea       not null,
  stream_sequence bigint      not null,
  command_id      text        not null,
  code            text        not null,
  message         text        not null,
  at              timestamptz not null,
  primary key (partition, id)
);
comment on table {{.schema}}.dead_letters is 'Commands that could not be handled, kept for a person to look at.';

-- The first statement of every commit. An error here undoes all of it. It returns Postgres's clock.
create function {{.schema}}.advance(
  of_partition smallint, from_epoch bigint, of_layout bigint, from_position bigint, from_recorded_at timestamptz,
  to_position bigint, to_published bigint, to_event_stream timestamptz, to_command_stream timestamptz, to_cursor bigint,
  to_cursor_time timestamptz, to_recorded_at timestamptz
) returns timestamptz language plpgsql as $$
declare
  actual record;
begin
  update {{.schema}}.partitions
     set position = to_position, published_position = to_published, event_stream = to_event_stream,
         command_stream = to_command_stream, command_cursor = to_cursor, cursor_time = to_cursor_time,
         recorded_at = coalesce(to_recorded_at, recorded_at)
   where partition = of_partition and epoch = from_epoch and layout = of_layout and position = from_position
     and recorded_at is not distinct from from_recorded_at;
  if found then
    return pg_catalog.clock_timestamp();
  end if;
  select epoch, layout, position, recorded_at into actual from {{.schema}}.partitions where partition = of_partition;
  if actual.epoch is distinct from from_epoch then
    raise exception 'partition % has epoch %, not %', of_partition, actual.epoch, from_epoch using errcode = 'ME001';
  end if;
  if actual.layout <> of_layout then
    raise exception 'partition % has layout %, not %', of_partition, actual.layout, of_layout using errcode = 'ME002';
  end if;
  if actual.position <> from_position then
    raise exception 'partition % has position %, not %', of_partition, actual.position, from_position using errcode = 'ME002';
  end if;
  raise exception 'partition % has an event of % at position %, not of %', of_partition, actual.recorded_at, actual.position,
    from_recorded_at using errcode = 'ME002';
end $$;

-- A transaction that projections have in hand is lent to them. It has a row here, which raises at its end unless the transaction was taken
-- back as it was lent: a projection that commits, or prepares a commit, undoes everything.
create table {{.schema}}.lent (
  partition smallint primary key,
  token     text     not null
) with (fillfactor = 10);
comment on table {{.schema}}.lent is 'The last transaction of each partition that projections had in hand.';

create function {{.schema}}.lend(of_partition smallint, the_token text) returns void language plpgsql as $$
begin
  insert into {{.schema}}.lent (partition, token) values (of_partition, the_token)
    on conflict (partition) do update set token = the_token;
  perform pg_catalog.set_config('maestro.lent', the_token, true);
end $$;

-- The durability is that of a fresh session, whatever a projection has set.
create function {{.schema}}.take_back(the_token text, durability text) returns void language plpgsql as $$
begin
  if pg_catalog.current_setting('maestro.lent', true) is distinct from the_token then
    raise exception 'a projection has ended the transaction that it was given, or reset its settings'
      using errcode = 'ME003', hint = 'return an error, or use a savepoint (tx.Begin), where something is to be undone';
  end if;
  perform pg_catalog.set_config('maestro.taken_back', the_token, true),
          pg_catalog.set_config('synchronous_commit', durability, true);
end $$;

create function {{.schema}}.check_taken_back() returns trigger language plpgsql as $$
begin
  if pg_catalog.current_setting('maestro.taken_back', true) is distinct from new.token then
    raise exception 'a projection must neither end the transaction that it was given nor "set constraints all"'
      using errcode = 'ME003', hint = 'name the constraints that are to be checked at once';
  end if;
  return null;
end $$;

create constraint trigger check_taken_back after insert or update on {{.schema}}.lent
  deferrable initially deferred for each row execute function {{.schema}}.check_taken_back();
alter table {{.schema}}.lent enable always trigger check_taken_back;
