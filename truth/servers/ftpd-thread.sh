# pyftpdlib ThreadedFTPServer
NAME=ftpd-thread PORT=21078 NEEDS="venv:pyftpdlib www"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    cd $APPS
    spawn $PYV/python ftpd.py $PORT $WWW t
    waitport
}

load() {
    CONNS=$(conns 4) $PY $APPS/ftpload.py $PORT $DUR
}
