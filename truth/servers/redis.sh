# io-threads 1, no persistence
NAME=redis PORT=21010 APT="redis-server redis-tools"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    spawn redis-server --port $PORT --bind 127.0.0.1 --save '' --appendonly no --dir $D
    waitport
}

load() {
    timeout $DUR redis-benchmark -p $PORT -c $(conns 20) -n 10000000 -t set,get -q > /dev/null 2>&1
    redis-cli -p $PORT info stats | grep total_commands
}
