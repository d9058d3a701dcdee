# Runs one cluster for as long as standard input is open, then removes its directory, or keeps it if told so. The kernel closes the pipe when the
# process at its other end dies, even of SIGKILL; so the cluster never outlives it.
bin=$1 dir=$2 options=$3 end=$4
shift 4 # the rest is the command that makes the data
mode=immediate
[ "$end" = remove ] || mode=fast
# shellcheck disable=SC2329
clean() {
  [ ! -s "$dir/data/postmaster.pid" ] || kill -CONT "$(head -n 1 "$dir/data/postmaster.pid")" # it may be paused
  "$bin/pg_ctl" -D "$dir/data" -m $mode -w stop >"$dir/log" 2>&1
  [ "$end" = keep ] || { cd / && rm -rf "$dir"; }
}
trap clean EXIT
trap 'exit 0' HUP INT TERM PIPE # PIPE: nobody is there to hear that it is ready
{
  "$@" &&
  "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -o "$options" -w start
} >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 1; }
echo ready
read -r _ || exit 0
