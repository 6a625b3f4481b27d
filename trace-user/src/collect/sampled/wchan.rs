//! Kernel functions that threads sleep in, as `/proc/PID/task/TID/wchan` names them: the first on the stack that is none
//! of the scheduler's. It takes less permission than the system call and says less.

use trace_common::account::Account;

/// The call that stands for a sleep in an epoll wait.
pub const EPOLL: &str = "epoll_wait";

/// Functions by the beginning of their names (compilers add `.constprop.0`), each with the account that a sleep in it
/// belongs to and the call that is most likely behind it, where one is. Linux 5.10 to 6.18.
const FUNCTIONS: [(&str, Account, Option<&str>); 22] = [
    // fs/eventpoll.c
    ("ep_poll", Account::WaitReady, Some(EPOLL)),
    ("do_epoll_wait", Account::WaitReady, Some(EPOLL)),
    // fs/select.c: poll and select alike.
    ("poll_schedule_timeout", Account::WaitReady, None),
    ("do_sys_poll", Account::WaitReady, Some("poll")),
    ("do_poll", Account::WaitReady, Some("poll")),
    ("do_select", Account::WaitReady, Some("select")),
    // net/ipv4/inet_connection_sock.c, net/unix/af_unix.c, net/core/datagram.c
    ("inet_csk_accept", Account::WaitAccept, Some("accept")),
    ("inet_csk_wait_for_connect", Account::WaitAccept, Some("accept")),
    ("sk_wait_data", Account::WaitData, None),
    ("tcp_recvmsg", Account::WaitData, None),
    ("unix_stream_read_generic", Account::WaitData, None),
    ("unix_stream_data_wait", Account::WaitData, None),
    ("__skb_wait_for_more_packets", Account::WaitData, None),
    // fs/pipe.c
    ("pipe_read", Account::WaitData, Some("read")),
    ("pipe_wait_readable", Account::WaitData, Some("read")),
    // kernel/futex/waitwake.c
    ("futex_", Account::WaitFutex, Some("futex")),
    ("__futex_wait", Account::WaitFutex, Some("futex")),
    // kernel/time/hrtimer.c
    ("hrtimer_nanosleep", Account::WaitTimer, Some("nanosleep")),
    ("do_nanosleep", Account::WaitTimer, Some("nanosleep")),
    // kernel/signal.c
    ("do_sigtimedwait", Account::WaitSignal, Some("rt_sigtimedwait")),
    ("sigsuspend", Account::WaitSignal, Some("rt_sigsuspend")),
    // io_uring/io_uring.c
    ("io_cqring_wait", Account::WaitCompletion, Some("io_uring_enter")),
];

/// What a sleep in `function` is.
pub fn known(function: &str) -> Option<(Account, Option<&'static str>)> {
    let found = FUNCTIONS.iter().find(|(prefix, ..)| function.starts_with(prefix));
    found.map(|(_, account, call)| (*account, *call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_known_with_what_compilers_add() {
        assert_eq!(known("ep_poll"), Some((Account::WaitReady, Some(EPOLL))));
        assert_eq!(known("poll_schedule_timeout.constprop.0"), Some((Account::WaitReady, None)));
        assert_eq!(known("futex_wait_queue"), Some((Account::WaitFutex, Some("futex"))));
        assert_eq!(known("wait_woken"), None);
    }
}
