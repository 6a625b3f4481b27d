# sshload.sh PORT DUR KEY : logins in sequence, and one long-lived session streaming data; with LOAD=one a single session
# that echoes a line every 2 ms
end=$(( $(date +%s) + $2 )); n=0; O="-q -p $1 -i $3 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes ${SSHUSER:-root}@127.0.0.1"
if [ "${LOAD:-many}" = one ]; then
    python3 "$(dirname "$0")/lines.py" $2 | timeout $(($2 + 1)) ssh $O cat >/dev/null 2>&1
    exit
fi
timeout $2 ssh $O 'i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); sleep 0.002; done' >/dev/null 2>&1 &
while [ $(date +%s) -lt $end ] && [ $n -lt 100 ]; do ssh $O 'head -c 200000 /dev/zero' >/dev/null 2>&1 && n=$((n+1)); done; wait; echo logins $n
