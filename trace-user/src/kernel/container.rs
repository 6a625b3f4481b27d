//! Which container a process is in, from the names that container managers give control groups.

pub use crate::snapshot::{Container, Runtime};

/// Digits of an id that are shown: as many as `docker ps` shows.
const ID_DIGITS: usize = 12;
/// Digits of the ids of OCI runtimes (SHA-256 in hexadecimal).
const OCI_DIGITS: usize = 64;

/// Prefixes of the last component of a path, by runtime: `docker-ID.scope` under systemd's driver.
const SCOPES: [(&str, Runtime); 5] = [
    ("docker-", Runtime::Docker),
    ("libpod-", Runtime::Podman),
    ("cri-containerd-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("nerdctl-", Runtime::Containerd),
];

/// The container that the text of `/proc/PID/cgroup` tells of.
pub fn of(cgroup: &str) -> Option<Container> {
    // `hierarchy:controllers:path`; a path may hold colons (containerd's `system.slice:cri-containerd:ID`).
    cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find_map(of_path)
}

fn of_path(path: &str) -> Option<Container> {
    let kubernetes = path.contains("kubepods");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // The innermost last: a container's own control groups may lie below it.
    parts.iter().enumerate().rev().find_map(|(i, part)| {
        let parent = i.checked_sub(1).map_or("", |above| parts[above]);
        let container = named(part, parent).or_else(|| oci(part, parent))?;
        let runtime =
            if kubernetes && container.id.len() == ID_DIGITS { Runtime::K8s } else { container.runtime };
        Some(Container { runtime, ..container })
    })
}

/// An OCI container: 64 digits, bare below a directory of its manager, or in a scope of systemd's.
fn oci(part: &str, parent: &str) -> Option<Container> {
    let scope = part.strip_suffix(".scope").unwrap_or(part);
    let by_scope = SCOPES.iter().find_map(|(prefix, runtime)| Some((*runtime, scope.strip_prefix(prefix)?)));
    let by_parent = match parent {
        "docker" => Runtime::Docker,
        "libpod_parent" => Runtime::Podman,
        _ if part.contains(":cri-containerd:") => Runtime::Containerd,
        _ => Runtime::Oci,
    };
    let bare = scope.rsplit(':').next().unwrap_or(scope);
    let (runtime, id) = by_scope.unwrap_or((by_parent, bare));
    let id = id.strip_prefix("conmon-").unwrap_or(id);
    let is_id = id.len() == OCI_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| Container { runtime, id: id[..ID_DIGITS].to_owned() })
}

/// A container with a name: LXC's and systemd-nspawn's.
fn named(part: &str, parent: &str) -> Option<Container> {
    let lxc = part.strip_prefix("lxc.payload.");
    let lxc = lxc.or_else(|| matches!(parent, "lxc" | "lxc.payload").then_some(part));
    let nspawn = part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service"));
    // libvirt registers virtual machines with the same manager, as `machine-qemu\x2d1\x2dNAME.scope`.
    let machine = part.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope"));
    let machine = machine.filter(|name| !name.starts_with("qemu") && !name.starts_with("libvirt"));
    let (runtime, name) =
        lxc.map(|n| (Runtime::Lxc, n)).or(nspawn.or(machine).map(|n| (Runtime::Nspawn, n)))?;
    Some(Container { runtime, id: unescape(name) })
}

/// `\x2d` of systemd's names is `-`.
fn unescape(name: &str) -> String {
    name.replace("\\x2d", "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn shown(path: &str) -> Option<String> {
        of(&format!("0::{}\n", path.replace("ID", ID))).map(|c| c.to_string())
    }

    #[test]
    fn containers_by_the_names_of_their_control_groups() {
        let cases = [
            ("/docker/ID", "docker:0123456789ab"),
            ("/system.slice/docker-ID.scope", "docker:0123456789ab"),
            ("/system.slice/docker-ID.scope/init.scope", "docker:0123456789ab"),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                "podman:0123456789ab",
            ),
            ("/libpod_parent/ID", "podman:0123456789ab"),
            ("/kubepods/besteffort/pod11111111-2222-3333-4444-555555555555/ID", "k8s:0123456789ab"),
            ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope", "k8s:0123456789ab"),
            ("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope", "k8s:0123456789ab"),
            ("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID", "k8s:0123456789ab"),
            ("/system.slice/nerdctl-ID.scope", "containerd:0123456789ab"),
            ("/lxc/web", "lxc:web"),
            ("/lxc.payload.web/system.slice/nginx.service", "lxc:web"),
            ("/machine.slice/systemd-nspawn@my\\x2dbox.service/payload", "nspawn:my-box"),
            ("/machine.slice/machine-box.scope", "nspawn:box"),
        ];
        for (path, wanted) in cases {
            assert_eq!(shown(path).as_deref(), Some(wanted), "{path}");
        }
    }

    #[test]
    fn what_is_no_container() {
        for path in [
            "/",
            "/system.slice/docker.service",
            "/system.slice/nginx.service",
            "/user.slice/user-1000.slice/session-2.scope",
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            "/docker/short",
            "/process_api/876a2a969e60df7a3fa19f2ae146da83",
        ] {
            assert_eq!(shown(path), None, "{path}");
        }
        assert_eq!(of("garbage\n\n0:\n"), None);
    }

    #[test]
    fn any_hierarchy_of_version_1_tells() {
        let text = format!("9:name=systemd:/\n4:memory:/docker/{ID}\n0::/\n");
        assert_eq!(of(&text).map(|c| c.to_string()).as_deref(), Some("docker:0123456789ab"));
    }
}
