package hostile

// Sessions are the habits that leave something behind in the session. The next command must find none of it.
var Sessions = []ModelHabit{
	{Habit{"a temporary table in place of ours", "committed"},
		says(`create temp table if not exists receipts (n int)`, `create temp table if not exists partitions (n int)`)},
	{Habit{"notify", "committed"}, says(`notify left_over, 'here'`)},
	{Habit{"discard all", refused}, says(`discard all`)},
	{Habit{"a cursor with hold", "committed"}, says(`declare kept cursor with hold for select generate_series(1, 10)`, `close kept`)},
	{Habit{"constraints deferred", "committed"}, says(`set constraints all deferred`)},
	{Habit{"constraints immediate", "committed or " + refused}, says(`set constraints all immediate`)},
}
