# Sourced by every file in servers/. A server script sets NAME, PORT and where it applies APT (Debian packages) and
# NEEDS (things that `lab install` builds), sources this file, and defines start; load, stop, main_pid and STOPSIG only
# where the defaults below do not fit. Sourcing does nothing but set variables and functions.
# LOAD is one (a single connection of a single client) or many (the default); loads ask `conns` how many they may open.
LABDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=${LAB_RUN:-$(dirname "$LABDIR")/target/truth}
APPS=$LABDIR/apps
WWW=$RUN/www BIN=$RUN/bin RUSTBIN=$RUN/rust/release PYV=$RUN/venv/bin DEBROOT=$RUN/root
D=$RUN/srv/$NAME
DUR=${DUR:-5}
PY=/usr/bin/python3; [ -x $PY ] || PY=python3
NODE=$RUN/node/bin/node; [ -x $NODE ] || NODE=node
PATH=$PATH:/usr/sbin:/sbin
export PYTHONDONTWRITEBYTECODE=1

# --- processes: the lab ends only what it started. $D/procs holds pid and start time of each one, so that a reused
# pid is never taken for ours; LAB_MARK in the environment finds those that left the tree and the session.
starttime() { sed 's/.*) //' /proc/$1/stat 2>/dev/null | cut -d' ' -f20; }
alive() { local s; s=$(sed 's/.*) //;s/ .*//' /proc/$1/stat 2>/dev/null); [ -n "$s" ] && [ "$s" != Z ] && { [ -z "${2:-}" ] || [ "$(starttime $1)" = "$2" ]; }; }
adopt() { echo "$1" >$D/pid; echo "$1 $(starttime $1)" >>$D/procs; }
# spawn CMD…: the server. setsid execs in place here: the pid is the server's own, and leads a session.
spawn() { LAB_MARK=$D setsid "$@" >$D/log 2>&1 </dev/null & adopt $!; }
# spawn_aux CMD…: a helper beside it (a back end, a front end)
spawn_aux() { LAB_MARK=$D setsid "$@" >$D/aux.log 2>&1 </dev/null & echo "$! $(starttime $!)" >>$D/procs; }
main_pid() { cat $D/pid 2>/dev/null; }
leaders() { local p s; while read -r p s; do alive $p $s && echo $p; done <$D/procs; }
# ours: "pid start" of every live process of this server: leaders, their sessions and descendants, and marked ones
ours() {
    local p l; l=" $(leaders | tr '\n' ' ')"
    { ps -eo pid=,ppid=,sid= | awk -v l="$l" '{ pp[$1]=$2; sid[$1]=$3 } END { n=split(l,a," "); for(i=1;i<=n;i++) in_[a[i]]=lead[a[i]]=1
        do { more=0; for(p in pp) if(!(p in in_) && ((pp[p] in in_) || (sid[p] in lead))) { in_[p]=1; more=1 } } while(more); for(p in in_) if(p in pp) print p }'
      grep -lzxF "LAB_MARK=$D" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; } | sort -un | while read -r p; do alive $p && echo "$p $(starttime $p)"; done
}
# stop_procs: $STOPSIG (TERM) to the leaders, 5 s of patience, then KILL for what is left
stop_procs() {
    local i p s before; [ -s $D/procs ] || return 0
    before=$(ours)
    for p in $(leaders); do kill -${STOPSIG:-TERM} $p 2>/dev/null; done
    for i in $(seq 1 50); do [ -z "$(leaders)" ] && break; sleep 0.1; done
    { echo "$before"; ours; } | sort -u | while read -r p s; do [ -n "$p" ] && alive $p $s && kill -KILL $p 2>/dev/null; done
    rm -f $D/pid $D/procs
}
stop() { stop_procs; }

# --- waits and loads, all bounded and on loopback
waitport() {
    local p=${1:-$PORT} i
    for i in $(seq 1 ${2:-100}); do (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null && return 0; sleep 0.1; done
    echo "port $p not open; the log ends:" >&2; tail -5 $D/log >&2; return 1
}
one() { [ "${LOAD:-many}" = one ]; }
conns() { if one; then echo 1; else echo "$1"; fi; }  # conns MANY: how many connections this load has
wrk_load() { wrk -t1 -d${DUR}s "$@" 2>&1 | grep -E 'Requests/sec|Socket errors|Non-2xx|requests in'; }
http_load() { wrk_load -c$(conns ${CONNS:-20}) "http://127.0.0.1:$PORT${1:-/}"; }
# Many connections of one request each; the single one of LOAD=one stays open if the server lets it.
http_load_close() { if one; then http_load "$@"; else wrk_load -c${CONNS:-10} -H 'Connection: close' "http://127.0.0.1:$PORT${1:-/}"; fi; }
tcp_load() { if one; then set -- "${@/#--short/--think=0.002}" --conns 1 --stay 0; fi; $PY $APPS/tcpload.py "$@" --port $PORT --dur $DUR; }
load() { http_load; }
