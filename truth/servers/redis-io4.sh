# io-threads 4, io-threads-do-reads yes
NAME=redis-io4 PORT=21011 APT="redis-server redis-tools"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    spawn redis-server --port $PORT --bind 127.0.0.1 --save '' --appendonly no --dir $D --io-threads 4 --io-threads-do-reads yes
    waitport
}

load() {
    timeout $DUR redis-benchmark -p $PORT -c $(conns 50) -n 10000000 -t set,get -q > /dev/null 2>&1
    redis-cli -p $PORT info stats | grep -E 'total_commands|io_threaded'
}
