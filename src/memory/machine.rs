//! How much memory there is for this process: the machine's, or what a control group leaves of it.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the memory of the machine or of the narrowest control group around the process, whichever is
/// smaller, in bytes; nothing if the system does not say. Reads the files below `root`, which is `/`.
#[must_use]
pub fn memory(root: &Path) -> Option<u64> {
    let machine = machine(root);
    let groups = groups(root).into_iter().flat_map(|group| group.limits());
    machine.into_iter().chain(groups).min()
}

fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// A control group, and the file that holds its limit.
struct Group {
    mount: PathBuf,
    path: PathBuf,
    file: &'static str,
}

/// Returns the groups that the process is in: of version 2, and of the memory controller of version 1.
fn groups(root: &Path) -> Vec<Group> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        Some(Group {
            mount: root.join(mount),
            path: Path::new(path.trim_start_matches('/')).to_owned(),
            file,
        })
    });
    lines.collect()
}

impl Group {
    /// Returns the limits of the group and of those around it. In a container the group's own path may not
    /// be there; its limit is then at the mount.
    fn limits(&self) -> Vec<u64> {
        let read = |path: &Path| {
            let text = fs::read_to_string(self.mount.join(path).join(self.file)).ok()?;
            // "max": there is none.
            text.trim().parse().ok()
        };
        self.path.ancestors().filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes files below a folder of their own, and asks what they say.
    fn memory_of(name: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = std::env::temp_dir().join(format!("mirant-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(path, text).expect("it is written");
        }
        let found = memory(&root);
        // There is none of nothing.
        let _ = fs::remove_dir_all(&root);
        found
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_smallest_of_all_counts() {
        let v2 = ("proc/self/cgroup", "0::/a/b\n");
        let v1 = ("proc/self/cgroup", "5:cpu:/x\n4:cpuacct,memory:/a\n");
        let none = "9223372036854771712\n";
        type Files<'f> = &'f [(&'f str, &'f str)];
        let cases: [(&str, Files<'_>, Option<u64>); 8] = [
            ("nothing", &[], None),
            ("machine", &[MACHINE], Some(1_024_000)),
            (
                "v2",
                &[MACHINE, v2, ("sys/fs/cgroup/a/b/memory.max", "5000\n")],
                Some(5000),
            ),
            (
                "v2-parent",
                &[
                    MACHINE,
                    v2,
                    ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("sys/fs/cgroup/a/memory.max", "6000\n"),
                ],
                Some(6000),
            ),
            (
                "v2-container",
                &[MACHINE, v2, ("sys/fs/cgroup/memory.max", "7000\n")],
                Some(7000),
            ),
            (
                "v2-wide",
                &[MACHINE, v2, ("sys/fs/cgroup/memory.max", "9999999\n")],
                Some(1_024_000),
            ),
            (
                "v1",
                &[
                    MACHINE,
                    v1,
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8000\n"),
                ],
                Some(8000),
            ),
            (
                "v1-none",
                &[
                    MACHINE,
                    v1,
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", none),
                ],
                Some(1_024_000),
            ),
        ];
        for (name, files, expected) in cases {
            assert_eq!(memory_of(name, files), expected, "{name}");
        }
    }
}
