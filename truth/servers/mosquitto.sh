# mosquitto -c foreground
NAME=mosquitto PORT=21221 APT="mosquitto mosquitto-clients"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    printf "listener $PORT 127.0.0.1\nallow_anonymous true\n" > $D/c
    spawn mosquitto -c $D/c
    waitport
}

load() {
    for i in $(one || echo 1 2 3)
    do
        timeout $DUR mosquitto_sub -p $PORT -t 't/#' > /dev/null 2>&1 &
    done
    sleep 0.3
    # Not all lines at once: the client would give up what it cannot have in flight, and be gone after a second.
    for i in $(seq $(conns 3))
    do
        $PY $APPS/lines.py $DUR | timeout $((DUR+1)) mosquitto_pub -p $PORT -t t/a -l -q 1 &
    done
    wait
    echo done
}
