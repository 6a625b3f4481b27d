# thread_handling=one-thread-per-connection (default), innodb_use_native_aio=ON
NAME=mariadb PORT=21031 APT="mariadb-server sysbench"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    [ -d $D/data/mysql ] || {
        mkdir -p $D/data
        chown mysql $D $D/data
        timeout 60 mariadb-install-db --no-defaults --user=mysql --datadir=$D/data --auth-root-authentication-method=normal > $D/inst.log 2>&1
    }
    spawn mariadbd --no-defaults --user=mysql --datadir=$D/data --port=$PORT --bind-address=127.0.0.1 --socket=$D/s.sock $MYOPT
    waitport $PORT 200
    timeout 20 mariadb --no-defaults -uroot -S $D/s.sock -e "create database if not exists t; create user if not exists 'u'@'%' identified by 'p'; grant all on *.* to 'u'@'%'; create user if not exists 'u'@'localhost' identified by 'p'; grant all on *.* to 'u'@'localhost'"
    timeout 30 sysbench oltp_read_write --mysql-host=127.0.0.1 --mysql-port=$PORT --mysql-user=u --mysql-password=p --mysql-db=t --tables=1 --table-size=2000 prepare > /dev/null 2>&1
    true
}

bench() {  # bench THREADS SECONDS
    timeout $(($2+2)) sysbench oltp_read_write --mysql-host=127.0.0.1 --mysql-port=$PORT --mysql-user=u --mysql-password=p --mysql-db=t --tables=1 --table-size=2000 --threads=$1 --time=$2 run 2>&1 | grep -E 'transactions|queries:'
}

newcomers() {
    local i
    for i in $(seq 20); do sleep 0.5; bench 1 $DUR & done
    wait
}

load() {
    # The server's threads are born for clients that come; its cache keeps those whose clients leave.
    one || newcomers &
    bench $(conns 8) $DUR
    wait
}
