# dnsmasq -k authoritative-ish, 1 process
NAME=dnsmasq PORT=21216 APT="dnsmasq-base"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    spawn dnsmasq -k -p $PORT -a 127.0.0.1 --bind-interfaces -R -h -C /dev/null --address=/lab.test/10.0.0.1 -x $D/p
    waitport
}

load() {
    CONNS=$(conns 5) $PY $APPS/dnsload.py $PORT $DUR udp
}
