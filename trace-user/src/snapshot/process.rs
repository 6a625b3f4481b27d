//! Processes of a target: who they are, where they run, and which program they ran when.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One program that a process of the target ran: all of the process, unless it executed another one in the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Process {
    /// Process id in the initial namespace.
    pub pid: u32,
    /// Its name; a string of the target, not to be trusted.
    pub comm: String,
    /// Path of its executable, if it could be read; not to be trusted.
    pub exe: Option<String>,
    /// Whether it lives at the end of the window.
    pub alive: bool,
    /// Whether it holds a listening TCP socket; `None` where that could not be read.
    #[serde(default)]
    pub listens: Option<bool>,
    /// Those sockets.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// 0 for the first program with this process id in the window, 1 for the next one…
    #[serde(default)]
    pub epoch: u32,
    /// Whether the process executed it. Else it began with the process, which may have the id of one that has ended.
    #[serde(default)]
    pub by_exec: bool,
    /// When it began, after the window's start, ns; `None` if before it.
    #[serde(default)]
    pub began_ns: Option<u64>,
    /// Process id in the innermost PID namespace; `None` if that is the initial one, or it could not be read.
    #[serde(default)]
    pub inner_pid: Option<u32>,
    /// The container that it runs in, if its control group names one.
    #[serde(default)]
    pub container: Option<Container>,
}

/// What tells a program from others: its process id, and its [`Process::epoch`].
pub type Program = (u32, u32);

impl Process {
    /// What tells it from others.
    pub fn program(&self) -> Program {
        (self.pid, self.epoch)
    }
}

/// A listening TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// Its inode: processes that share the socket have the same, several sockets on one port have several.
    pub inode: u64,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Container {
    /// Who made it.
    pub runtime: Runtime,
    /// Its id, shortened, or its name; not to be trusted.
    pub id: String,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.runtime.name(), self.id)
    }
}

/// Who makes containers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd, by itself or under nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// Kubernetes, with whichever of them.
    K8s,
    /// LXC.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// Another one that names control groups by the ids of OCI.
    Oci,
}

impl Runtime {
    /// Its name, as in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Containerd => "containerd",
            Runtime::CriO => "cri-o",
            Runtime::K8s => "k8s",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "nspawn",
            Runtime::Oci => "oci",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_has_one_name() {
        use Runtime::*;
        for runtime in [Docker, Podman, Containerd, CriO, K8s, Lxc, Nspawn, Oci] {
            assert_eq!(serde_json::to_value(runtime).expect("JSON"), runtime.name());
        }
    }
}
