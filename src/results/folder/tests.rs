use super::*;
use crate::results::{Saved, fixtures, index, load};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A finished sweep of `target` with one sample of `procs`.
fn sweep(out: &Path, target: &str, procs: u32) -> Saved {
    let manifest = fixtures::manifest(target);
    let mut folder = Folder::create(out, &manifest).unwrap();
    let row = fixtures::row(target, procs, 1);
    folder.append(&row).unwrap();
    folder.sync().unwrap();
    Saved { folder: folder.root().to_owned(), manifest, rows: vec![row] }
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, Error>, part: &str) {
    let error = result.expect_err("it has to be refused");
    let line = error.to_string();
    assert!(error.exit_code() == 2 && line.contains(part) && !line.contains('\n'), "{line}");
}

#[test]
fn a_new_sweep_has_its_manifest_and_journal_before_the_first_sample() {
    let out = tempfile::tempdir().unwrap();
    let deep = out.path().join("a/b");
    let folder = Folder::create(&deep, &fixtures::manifest("sort")).unwrap();
    assert_eq!(folder.root(), deep.join("sort"));
    assert_eq!(names(&deep), ["sort"]);
    assert_eq!(names(folder.root()), [".lock", "samples.csv", "sweep.json"]);
}

#[test]
fn a_row_is_in_the_file_as_soon_as_it_is_appended() {
    let out = tempfile::tempdir().unwrap();
    let mut folder = Folder::create(out.path(), &fixtures::manifest("sort")).unwrap();
    for round in 1..4 {
        folder.append(&fixtures::row("sort", 1, round)).unwrap();
        assert_eq!(load(folder.root()).unwrap()[0].rows.len(), round as usize);
    }
}

#[test]
fn the_sweep_before_is_kept_for_one_generation() {
    let out = tempfile::tempdir().unwrap();
    for procs in 1..=3 {
        sweep(out.path(), "sort", procs);
    }
    assert_eq!(names(out.path()), ["sort", "sort.prev"]);
    assert_eq!(load(&out.path().join("sort")).unwrap()[0].rows[0].procs, 3);
    assert_eq!(load(&out.path().join("sort.prev")).unwrap()[0].rows[0].procs, 2);
    assert_eq!(load(out.path()).unwrap().len(), 1, "a former sweep is none of the results");
}

#[test]
fn a_second_sweep_on_the_same_folder_is_refused_and_changes_nothing() {
    let out = tempfile::tempdir().unwrap();
    let manifest = fixtures::manifest("sort");
    let folder = Folder::create(out.path(), &manifest).unwrap();
    refused(Folder::create(out.path(), &manifest), "another sweep");
    refused(Folder::resume(out.path(), &manifest), "another sweep");
    assert_eq!(names(out.path()), ["sort"]);
    Folder::create(out.path(), &fixtures::manifest("matmul")).unwrap();
    drop(folder);
    Folder::create(out.path(), &manifest).unwrap();
}

#[test]
fn what_is_no_sweep_is_never_moved_or_removed() {
    let out = tempfile::tempdir().unwrap();
    let manifest = fixtures::manifest("sort");
    fs::create_dir(out.path().join("sort")).unwrap();
    fs::write(out.path().join("sort/thesis.tex"), "years").unwrap();
    refused(Folder::create(out.path(), &manifest), "something else");
    refused(Folder::resume(out.path(), &manifest), "something else");
    assert_eq!(names(&out.path().join("sort")), ["thesis.tex"]);
    fs::rename(out.path().join("sort"), out.path().join("sort.prev")).unwrap();
    refused(Folder::create(out.path(), &manifest), "something else");
    assert_eq!(names(out.path()), ["sort.prev"]);
    fs::write(out.path().join("matmul"), "").unwrap();
    refused(Folder::create(out.path(), &fixtures::manifest("matmul")), "a file");
}

#[test]
fn an_empty_folder_is_taken() {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("sort")).unwrap();
    sweep(out.path(), "sort", 1);
    assert_eq!(load(out.path()).unwrap()[0].rows.len(), 1);
}

#[test]
fn a_place_that_cannot_be_written_to_is_bad_input() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    refused(Folder::create(&file.join("x"), &fixtures::manifest("sort")), "`--out`");
    refused(Folder::create(&file, &fixtures::manifest("sort")), "`--out`");
    refused(Folder::create(Path::new("/proc/no"), &fixtures::manifest("sort")), "/proc/no");
}

#[test]
fn a_disk_that_is_full_is_no_bad_input() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert_eq!(at_start(Path::new("x"), &full).exit_code(), 1);
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::create(out.path(), &fixtures::manifest("sort")).unwrap();
    fs::create_dir(folder.path("sweep.json.d")).unwrap();
    let error = folder.write_file("sweep.json.d", b"x").unwrap_err();
    assert!(error.exit_code() == 1 && error.to_string().contains("--resume"), "{error}");
}

#[test]
fn resuming_goes_on_with_what_is_there() {
    let out = tempfile::tempdir().unwrap();
    let before = sweep(out.path(), "sort", 1);
    let now = Manifest { started_unix_s: 7.0, ..before.manifest.clone() };
    let mut resumed = Folder::resume(out.path(), &now).unwrap();
    assert_eq!((resumed.manifest, resumed.rows, resumed.notes), (before.manifest, before.rows, Vec::new()));
    resumed.folder.append(&fixtures::row("sort", 2, 1)).unwrap();
    let procs: Vec<u32> =
        load(out.path()).unwrap()[0].rows.iter().map(|row| row.procs.count().unwrap()).collect();
    assert_eq!(procs, [1, 2]);
    assert_eq!(names(out.path()), ["sort"]);
}

#[test]
fn resuming_where_nothing_is_starts_afresh_and_says_so() {
    let out = tempfile::tempdir().unwrap();
    let resumed = Folder::resume(out.path(), &fixtures::manifest("sort")).unwrap();
    assert!(resumed.rows.is_empty() && resumed.notes[0].contains("afresh"), "{:?}", resumed.notes);
    assert_eq!(names(resumed.folder.root()), [".lock", "samples.csv", "sweep.json"]);
}

#[test]
fn resuming_another_command_or_plan_is_refused_by_name() {
    let out = tempfile::tempdir().unwrap();
    let before = sweep(out.path(), "sort", 1);
    let mut now = before.manifest.clone();
    now.plan.timeout_s = 5.0;
    refused(Folder::resume(out.path(), &now), "plan.timeout_s was 60.0 and is 5.0 now");
    let now = Manifest { command: fixtures::command(&["false"]), ..before.manifest.clone() };
    refused(Folder::resume(out.path(), &now), "command.kind.argv");
    assert_eq!(load(out.path()).unwrap(), [before], "nothing has changed");
}

#[test]
fn resuming_on_another_machine_is_noted() {
    let out = tempfile::tempdir().unwrap();
    let mut now = sweep(out.path(), "sort", 1).manifest;
    now.machine.id = "m2".to_owned();
    let resumed = Folder::resume(out.path(), &now).unwrap();
    assert!(resumed.notes[0].contains("another machine"), "{:?}", resumed.notes);
}

#[test]
fn the_summary_has_a_row_a_point() {
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::create(out.path(), &fixtures::manifest("sort")).unwrap();
    folder.write_summary(&fixtures::recommendation("sort")).unwrap();
    let text = fs::read_to_string(folder.path("summary.csv")).unwrap();
    let expected = "target,procs,samples,throughput,throughput_lo,throughput_hi,speedup,efficiency,cpu_s_per_op,\
                    latency_p99_s,max_rss_bytes,recommended\n\
                    sort,1,3,100,,,1,1,0.1,,4096,false\n\
                    sort,2,3,200,,,2,1,0.1,,4096,true\n";
    assert_eq!(text, expected);
}

#[test]
fn the_index_covers_every_target_by_name_and_says_what_it_left_out() {
    let out = tempfile::tempdir().unwrap();
    for target in ["sort", "matmul", "broken", "unfinished"] {
        let mut manifest = fixtures::manifest(target);
        manifest.recommendation = (target != "unfinished").then(|| fixtures::recommendation(target));
        let folder = Folder::create(out.path(), &fixtures::manifest(target)).unwrap();
        folder.write_manifest(&manifest).unwrap();
    }
    Folder::create(out.path(), &fixtures::manifest("sort")).map(drop).unwrap();
    Folder::resume(out.path(), &fixtures::manifest("sort"))
        .unwrap()
        .folder
        .write_manifest(&Manifest {
            recommendation: Some(fixtures::recommendation("sort")),
            ..fixtures::manifest("sort")
        })
        .unwrap();
    fs::write(out.path().join("broken/sweep.json"), "{").unwrap();
    fs::create_dir(out.path().join("somebody's")).unwrap();

    let left_out = index(out.path()).unwrap().left_out;
    assert!(left_out.len() == 1 && left_out[0].contains("broken"), "{left_out:?}");
    let text = fs::read_to_string(out.path().join("summary.csv")).unwrap();
    let rows: Vec<&str> = text.lines().skip(1).map(|line| &line[..line.find(",3,").unwrap()]).collect();
    assert_eq!(rows, ["matmul,1", "matmul,2", "sort,1", "sort,2"]);
    refused(index(&out.path().join("none")), "none");
}
