//! Whose command it is: under sudo that of whoever called it, not root's.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

use crate::failure::{Code, Failure};

/// Who called sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
    /// Name, home and shell by the names of their variables; empty for an id that has none.
    account: BTreeMap<&'static str, OsString>,
}

/// What sudo says about itself (sudo(8), ENVIRONMENT); it says so of a command that runs as root.
const OF_SUDO: [&str; 4] = ["SUDO_COMMAND", "SUDO_GID", "SUDO_UID", "SUDO_USER"];

impl User {
    /// Who called sudo; `None` if nobody did, or root.
    ///
    /// # Errors
    /// With [`Code::Usage`] if its environment cannot be understood: the command must not run as root by mistake.
    pub fn of_sudo(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<User>, Failure> {
        let id = |name: &str| variable(name).map(|text| parse(name, &text)).transpose();
        let (Some(uid), gid) = (id("SUDO_UID")?, id("SUDO_GID")?) else { return Ok(None) };
        Ok((uid != 0).then(|| User::new(uid, gid)))
    }

    fn new(uid: u32, gid: Option<u32>) -> User {
        let entry = Entry::of(uid);
        let gid = gid.or_else(|| entry.as_ref().map(|e| e.gid)).unwrap_or(uid);
        let groups = entry.as_ref().map_or_else(|| vec![gid], |e| groups(&e.name, gid));
        let account = entry.map_or_else(BTreeMap::new, |e| {
            let text = |s: CString| OsString::from_vec(s.into_bytes());
            let name = text(e.name);
            [("USER", name.clone()), ("LOGNAME", name), ("HOME", text(e.home)), ("SHELL", text(e.shell))]
                .into()
        });
        User { uid, gid, groups, account }
    }

    /// The environment of its command, made of that of trace.
    pub fn environment(&self, ours: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let is_replaced =
            |name: &OsStr| OF_SUDO.iter().any(|n| *n == name) || self.account.keys().any(|n| *n == name);
        let kept = ours.filter(|(name, _)| !is_replaced(name));
        kept.chain(self.account.iter().map(|(name, value)| ((*name).into(), value.clone()))).collect()
    }
}

fn parse(name: &str, text: &OsStr) -> Result<u32, Failure> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let why = format!("{name} is {}, which is no id", text.to_string_lossy());
        Failure::new(Code::Usage, "it cannot be told who called sudo", why)
            .fix("--as-root, for a command that may run as root")
    })
}

/// What is needed of an entry of passwd(5).
struct Entry {
    name: CString,
    home: CString,
    shell: CString,
    gid: u32,
}

impl Entry {
    fn of(uid: u32) -> Option<Entry> {
        // SAFETY: the thread is the only one; the entry is copied before anything else asks for one.
        unsafe {
            let entry = libc::getpwuid(uid).as_ref()?;
            let text = |s: *const libc::c_char| {
                if s.is_null() { CString::default() } else { CStr::from_ptr(s).to_owned() }
            };
            Some(Entry {
                name: text(entry.pw_name),
                home: text(entry.pw_dir),
                shell: text(entry.pw_shell),
                gid: entry.pw_gid,
            })
        }
    }
}

/// What initgroups(3) would set, asked for where memory may still be allocated.
fn groups(name: &CStr, gid: u32) -> Vec<u32> {
    let mut count = 64;
    loop {
        let mut groups = vec![0; count as usize];
        // SAFETY: `groups` has room for `count` ids; the call says how many there are.
        let found = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        if found >= 0 {
            groups.truncate(count.max(0) as usize);
            return groups;
        }
        if count as usize <= groups.len() {
            return vec![gid];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uid: Option<&str>, gid: Option<&str>) -> Result<Option<User>, Failure> {
        User::of_sudo(|name| match name {
            "SUDO_UID" => uid.map(OsString::from),
            "SUDO_GID" => gid.map(OsString::from),
            _ => None,
        })
    }

    #[test]
    fn without_sudo_and_as_root_nobody_else_runs_it() {
        assert_eq!(of(None, None).expect("nobody"), None);
        assert_eq!(of(None, Some("7")).expect("nobody"), None);
        assert_eq!(of(Some("0"), Some("0")).expect("root"), None);
    }

    #[test]
    fn an_id_that_is_none_is_refused_rather_than_root() {
        for uid in ["", "-1", "root", "4294967296", "1 "] {
            assert_eq!(of(Some(uid), None).expect_err(uid).code, Code::Usage);
        }
        assert_eq!(of(Some("1000"), Some("x")).expect_err("gid").code, Code::Usage);
    }

    #[test]
    fn an_id_without_an_entry_has_one_group_and_no_home() {
        let user = of(Some("3999999999"), Some("3999999998")).expect("ids").expect("a user");
        assert_eq!((user.uid, user.gid, &*user.groups), (3_999_999_999, 3_999_999_998, &[3_999_999_998][..]));
        assert!(user.account.is_empty());
    }

    #[test]
    fn the_environment_is_the_users() {
        let user = User { uid: 1, gid: 1, groups: vec![1], account: [("HOME", "/home/u".into())].into() };
        let ours = [("HOME", "/root"), ("SUDO_UID", "1"), ("PATH", "/bin")];
        let environment = user.environment(ours.into_iter().map(|(n, v)| (n.into(), v.into())));
        assert_eq!(environment, [("PATH", "/bin"), ("HOME", "/home/u")].map(|(n, v)| (n.into(), v.into())));
    }
}
