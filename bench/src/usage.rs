//! The processor time and memory of a process, from `/proc`.

/// The usage of a process and all its children, alive or waited for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_s: f64,
    /// Resident memory now.
    pub resident_mb: f64,
    /// The peak of the largest process.
    pub peak_mb: f64,
}

/// Linux counts processor time in hundredths of a second on all machines that we know.
const TICKS_PER_S: f64 = 100.0;

pub fn of(pid: u32) -> Usage {
    let mut usage = one(pid);
    for child in children(pid) {
        let of_child = of(child);
        usage.cpu_s += of_child.cpu_s;
        usage.resident_mb += of_child.resident_mb;
        usage.peak_mb = usage.peak_mb.max(of_child.peak_mb);
    }
    usage
}

fn one(pid: u32) -> Usage {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let stat = read("stat");
    // The name in parentheses may hold anything; own time and that of children waited for come 11 fields after it.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    let status = read("status");
    let megabytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next())
            .and_then(|kilobytes| kilobytes.parse::<f64>().ok())
            .map_or(0.0, |kilobytes| kilobytes / 1_024.0)
    };
    Usage {
        cpu_s: ticks / TICKS_PER_S,
        resident_mb: megabytes("VmRSS:"),
        peak_mb: megabytes("VmHWM:"),
    }
}

fn children(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}
