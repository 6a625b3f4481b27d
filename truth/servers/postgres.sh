# default, trust auth, TCP
NAME=postgres PORT=21030 APT="postgresql-15"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"
B=/usr/lib/postgresql/15/bin
STOPSIG=INT

start() {
    [ -d $D/data ] || {
        mkdir -p $D/data
        chown postgres $D $D/data
        timeout 60 setpriv --reuid postgres --regid postgres --clear-groups $B/initdb -D $D/data -A trust -N > /dev/null
    }
    chown postgres $D
    spawn setpriv --reuid postgres --regid postgres --clear-groups $B/postgres -D $D/data -p $PORT -h 127.0.0.1 -k $D -c fsync=off
    waitport
    sleep 1
    PGUSER=postgres timeout 30 $B/pgbench -h 127.0.0.1 -p $PORT -i -q postgres > /dev/null 2>&1
}

load() {
    PGUSER=postgres timeout $((DUR+5)) $B/pgbench -h 127.0.0.1 -p $PORT -c $(conns 8) -j 1 -T $DUR -S postgres 2>&1 | grep tps
}
