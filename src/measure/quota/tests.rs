//! Version 2 on a fake hierarchy; version 1 is tried for real in `tests/quota.rs`.

use std::fs;

use tempfile::TempDir;

use super::hierarchy::Hierarchy;
use super::hierarchy::fake::Fake;
use super::*;
use crate::measure::fixture;

const MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

/// A machine of version 2 with this process in `own`. Each group is `(path, controllers that govern its children)`.
fn machine(own: &str, groups: &[(&str, &str)]) -> (TempDir, Fake) {
    let root = fixture::root(&[
        ("proc/self/cgroup", &format!("0::{own}\n")),
        ("proc/self/mountinfo", MOUNT),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
        ("sys/fs/cgroup/cgroup.subtree_control", ""),
        ("sys/fs/cgroup/cgroup.procs", ""),
    ]);
    let fake = Fake::new(root.path().join("sys/fs/cgroup"));
    for (path, governed) in groups {
        let folder = fake.top.join(path);
        if !path.is_empty() {
            fake.make(&folder).unwrap();
        }
        for name in governed.split_ascii_whitespace() {
            fake.write(&folder.join("cgroup.subtree_control"), &format!("+{name}")).unwrap();
        }
    }
    enter(&fake, own.trim_start_matches('/'), &std::process::id().to_string());
    fake.orders.borrow_mut().clear();
    (root, fake)
}

/// Puts a process where the machine had it before anybody wrote a rule.
fn enter(fake: &Fake, group: &str, pid: &str) {
    let file = fake.top.join(group).join("cgroup.procs");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{before}{pid}\n")).unwrap();
}

fn members(fake: &Fake, group: &Path) -> Vec<u32> {
    group::members(fake, group).into_iter().collect()
}

#[track_caller]
fn refused(root: &TempDir, fake: &Fake, part: &str) {
    let error = room::find(fake, root.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(part) && text.contains("systemd-run") && !text.contains('\n'), "{text}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_tool_alone_in_a_delegated_group_moves_below_it_and_back() {
    let (root, fake) = machine("/u/run.scope", &[("", "cpu"), ("u", "cpu"), ("u/run.scope", "")]);
    let own = fake.top.join("u/run.scope");
    let room = room::find(&fake, root.path()).unwrap();
    assert_eq!((&room.folder, room.version), (&own, Version::V2));
    let below = room.moved_to.clone().unwrap();
    assert_eq!(members(&fake, &below), [std::process::id()]);

    let group = own.join("group");
    group::make(&fake, Version::V2, &group, 0.5).unwrap();
    assert_eq!(fs::read_to_string(group.join("cpu.max")).unwrap(), "50000 100000");
    group::clear_away(&fake, &group).unwrap();

    room::close(&fake, &own, Some(&below));
    assert_eq!(members(&fake, &own), [std::process::id()]);
    assert_eq!(fake.groups(&own), Vec::<String>::new());
    assert_eq!(fs::read_to_string(own.join("cgroup.subtree_control")).unwrap(), "");
}

#[test]
fn the_root_of_the_machine_has_room_without_a_move() {
    let (root, fake) = machine("/", &[("", "cpu")]);
    let room = room::find(&fake, root.path()).unwrap();
    assert_eq!((room.folder, room.moved_to), (fake.top.clone(), None));
}

#[test]
fn a_tool_in_company_moves_nobody_and_takes_a_group_above() {
    let (root, fake) = machine("/u/s.scope", &[("", "cpu"), ("u", "cpu"), ("u/s.scope", "")]);
    enter(&fake, "u/s.scope", "1");
    let room = room::find(&fake, root.path()).unwrap();
    assert_eq!((room.folder, room.moved_to), (fake.top.join("u"), None));
    assert!(!fake.orders.borrow().iter().any(|order| order.contains("cgroup.procs")));
}

#[test]
fn a_group_above_is_not_taken_if_a_quota_would_be_lost_by_it() {
    let (root, mut fake) = machine("/u/s.scope", &[("", "cpu"), ("u", "cpu"), ("u/s.scope", "")]);
    enter(&fake, "u/s.scope", "1");
    fs::write(fake.top.join("u/cpu.max"), "150000 100000").unwrap();
    assert_eq!(room::find(&fake, root.path()).unwrap().folder, fake.top.join("u"), "it is inside");
    fake.locked = vec![fake.top.join("u")];
    refused(&root, &fake, "permission denied");
}

#[test]
fn without_the_right_to_write_the_way_out_is_told() {
    let (root, mut fake) = machine("/u/s.scope", &[("", "cpu"), ("u", "cpu"), ("u/s.scope", "")]);
    fake.locked = vec![fake.top.clone()];
    refused(&root, &fake, "u/s.scope`: permission denied");
    assert!(fake.orders.borrow().is_empty());
}

#[test]
fn without_the_controller_it_is_told_that_it_is_not_delegated() {
    let (root, mut fake) = machine("/u/s.scope", &[("", "cpu"), ("u", ""), ("u/s.scope", "")]);
    fake.locked = vec![fake.top.join("cgroup.procs")];
    refused(&root, &fake, "the CPU controller is not delegated to this process's cgroup");
}

#[test]
fn without_cgroups_it_is_told_that_there_are_none() {
    let (root, fake) = machine("/", &[]);
    fs::write(root.path().join("proc/self/mountinfo"), "").unwrap();
    refused(&root, &fake, "no cgroups with a CPU controller are mounted here");
}

#[test]
fn groups_of_tools_that_were_killed_are_emptied_and_removed_and_others_stay() {
    let (root, fake) = machine("/", &[("", "cpu")]);
    let this = Owner::this().unwrap().name();
    for name in
        ["corefit-4194999-5-1", "corefit-4194999-5-ns1-1", "corefit-other", "corefit-4194999-5-2", &this]
    {
        fake.make(&fake.top.join(name)).unwrap();
    }
    enter(&fake, "corefit-4194999-5-1", "77");
    fake.make(&fake.top.join("corefit-4194999-5-2/inner")).unwrap();
    enter(&fake, "corefit-4194999-5-2/inner", "78");
    room::find(&fake, root.path()).unwrap();
    let mut left = fake.groups(&fake.top);
    left.sort();
    let mut expected = ["corefit-4194999-5-ns1-1", this.as_str(), "corefit-other"];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[test]
fn a_quota_is_never_below_a_millisecond_of_its_period() {
    let (_root, fake) = machine("/", &[("", "cpu")]);
    for (cpus, text) in [(0.01, "1000 100000"), (1.333_333, "133333 100000"), (4096.0, "409600000 100000")] {
        let group = fake.top.join("group");
        group::make(&fake, Version::V2, &group, cpus).unwrap();
        assert_eq!(fs::read_to_string(group.join("cpu.max")).unwrap(), text);
        fake.remove(&group).unwrap();
    }
}

#[test]
fn more_than_this_process_has_itself_is_refused() {
    let room = Room { version: Version::V2, folder: "/x".into(), moved_to: None };
    let quotas = Quotas { room, in_force_cpus: Some(1.5) };
    assert_eq!(quotas.of(1.5).unwrap().cpus(), 1.5);
    assert!(quotas.of(2.0).unwrap_err().to_string().contains("allowed 1.5 CPUs itself; give at most that"));
}
