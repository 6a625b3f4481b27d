//! The first process of the guest, a shell script, and the lines by which it reports.

use super::initramfs::Payload;
use crate::process::quote;

/// Starts every line that is meant for the console's reader and not for a person.
const MARK: &str = "@@xtask-vm ";

/// The status that the guest reports when the kernel offers no BTF.
pub const STATUS_NO_BTF: i32 = 117;

/// A line of the console that is meant for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The guest is up and starts the program; the kernel's release.
    Up(String),
    /// The program ended with this status.
    Ended(i32),
}

/// Reads a line of the console; none when it is the program's or the kernel's.
pub fn report(line: &str) -> Option<Report> {
    // The program's last line may lack its end.
    let (_, words) = line.split_once(MARK)?;
    match words.trim_end().split_once(' ')? {
        ("up", release) => Some(Report::Up(release.to_owned())),
        ("ended", status) => status.parse().ok().map(Report::Ended),
        _ => None,
    }
}

/// The script.
pub fn script(payload: &Payload) -> String {
    let exports: String =
        payload.variables.iter().map(|(name, value)| format!("export {name}={}\n", quote(value))).collect();
    let words = [payload.guest_command()].into_iter().chain(payload.arguments.iter().cloned());
    let command = words.map(|word| quote(&word)).collect::<Vec<_>>().join(" ");
    format!(
        "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
export PATH=/bin HOME=/root TERM=dumb
{exports}cd /tmp
echo '{MARK}up' \"$(uname -r)\"
if [ -r /sys/kernel/btf/vmlinux ]; then
    {command} </dev/null 2>&1
    status=$?
else
    status={STATUS_NO_BTF}
fi
echo
echo '{MARK}ended' $status
sync
poweroff -f
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_quotes_arguments_and_variables() {
        let mut payload = Payload::of_program("/build/my test".as_ref());
        payload.variables.push(("GREETING".into(), "it's me".into()));
        payload.arguments.push("two words".into());
        let script = script(&payload);
        assert!(script.starts_with("#!/bin/busybox sh\n"));
        assert!(script.contains("\n    '/bin/my test' 'two words' </dev/null 2>&1\n"), "{script}");
        assert!(script.contains("\nexport GREETING='it'\\''s me'\ncd /tmp\n"), "{script}");
        assert!(script.ends_with("poweroff -f\n"));
    }

    #[test]
    fn the_console_is_read_with_its_carriage_returns() {
        assert_eq!(
            report("@@xtask-vm up 6.1.0-56-cloud-amd64\r\n"),
            Some(Report::Up("6.1.0-56-cloud-amd64".into()))
        );
        assert_eq!(report("ok@@xtask-vm ended 101\r\n"), Some(Report::Ended(101)));
        assert_eq!(report("test result: ok\r\n"), None);
        assert_eq!(report("@@xtask-vm ended"), None);
    }
}
