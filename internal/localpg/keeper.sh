# Runs one cluster for as long as standard input is open, then leaves nothing behind. The kernel closes the pipe when the
# process at its other end dies, even of SIGKILL; so the cluster never outlives it.
bin=$1 dir=$2 options=$3
# shellcheck disable=SC2329
clean() {
  "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >"$dir/log" 2>&1
  cd / && rm -rf "$dir"
}
trap clean EXIT
trap 'exit 0' HUP INT TERM PIPE # PIPE: nobody is there to hear that it is ready
{
  "$bin/initdb" -D "$dir/data" -U postgres -A scram-sha-256 --pwfile="$dir/password" \
    -E UTF8 --locale=C --no-sync &&
  "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -o "$options" -w start
} >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 1; }
echo ready
read -r _ || exit 0
