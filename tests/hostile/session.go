package hostile

// Sessions are the habits that leave something behind in the session. The next command must find
// none of it.
var Sessions = []ModelHabit{
	{Habit{"set synchronous_commit = off", "committed or " + refused}, says(`set synchronous_commit = off`)},
	{Habit{"set local synchronous_commit = off", "committed or " + refused}, says(`set local synchronous_commit = off`)},
	{Habit{"set_config", "committed or " + refused}, says(`select set_config('synchronous_commit', 'off', false)`)},
	{Habit{"set search_path", "committed"}, says(`set search_path = pg_temp, public`)},
	{Habit{"set role", "committed or " + refused}, says(`set role hostile_nobody`)},
	{Habit{"set session authorization", "committed or " + refused}, says(`set session authorization hostile_nobody`)},
	{Habit{"set time zone", "committed"}, says(`set time zone 'Asia/Tokyo'`, `set datestyle = 'SQL, DMY'`)},
	{Habit{"set client_encoding", "committed or " + refused}, says(`set client_encoding = 'LATIN1'`)},
	{Habit{"set standard_conforming_strings", "committed"}, says(`set standard_conforming_strings = off`)},
	{Habit{"a statement time-out of a millisecond", "committed or " + refused}, says(`set statement_timeout = 1`)},
	{Habit{"a lock time-out of a millisecond", "committed"}, says(`set lock_timeout = 1`)},
	{Habit{"an advisory lock", "committed"}, says(`select pg_advisory_lock(424242)`)},
	{Habit{"temporary tables", "committed"}, says(`create temp table if not exists left_over (n int)`, `insert into left_over values (1)`)},
	{Habit{"a temporary table in place of ours", "committed"},
		says(`create temp table if not exists receipts (n int)`, `create temp table if not exists partitions (n int)`)},
	{Habit{"listen", "committed"}, says(`listen left_over`)},
	{Habit{"notify", "committed"}, says(`notify left_over, 'here'`)},
	{Habit{"deallocate all", gaveUp}, says(`deallocate all`)},
	{Habit{"discard all", refused}, says(`discard all`)},
	{Habit{"a cursor with hold", "committed"}, says(`declare kept cursor with hold for select generate_series(1, 10)`, `close kept`)},
	{Habit{"a default that is read only", "committed"}, says(`set default_transaction_read_only = on`)},
	{Habit{"a default isolation level", "committed"}, says(`set default_transaction_isolation = 'serializable'`)},
	{Habit{"triggers switched off", "committed or " + refused}, says(`set session_replication_role = replica`)},
	{Habit{"constraints deferred", "committed"}, says(`set constraints all deferred`)},
	{Habit{"constraints immediate", "committed or " + refused}, says(`set constraints all immediate`)},
}
