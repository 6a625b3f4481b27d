# sshd -D, key auth
NAME=sshd PORT=21200 APT="openssh-server openssh-client"
. "$(dirname "${BASH_SOURCE[0]}")/../_lib.sh"

start() {
    mkdir -p /run/sshd
    [ -f $D/hk ] || ssh-keygen -q -t ed25519 -N '' -f $D/hk
    [ -f $D/uk ] || ssh-keygen -q -t ed25519 -N '' -f $D/uk
    cp $D/uk.pub $D/ak
    cat > $D/c <<E
Port $PORT
ListenAddress 127.0.0.1
HostKey $D/hk
AuthorizedKeysFile $D/ak
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
E
    spawn /usr/sbin/sshd -D -e -f $D/c
    waitport
}

load() {
    LOAD=${LOAD:-many} bash $APPS/sshload.sh $PORT $DUR $D/uk
}
