//! Reports: that their figures are those of the tables, that they are honest about sweeps of every kind, and that nothing in
//! them is taken for markup.

mod corefit;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use corefit::{Corefit, column};
use serde_json::Value;

/// A sweep of three rounds at 1 and 2 procs of a program that takes no time, in `p/x`.
fn small_sweep(corefit: &Corefit, more: &[&str]) {
    let args = ["sweep", "--quick", "--no-flamegraph", "--procs", "1,2", "--name", "x", "--out", "p", "-q"];
    corefit.run(&[&args, more, &["--", "true"]].concat()).assert_code(0);
}

/// The value of an attribute in a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// The part of a page from one text to the next.
#[track_caller]
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let rest = page.split_once(from).unwrap_or_else(|| panic!("no {from}")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

/// A section of the page by its id.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    between(page, &format!("<section id=\"{id}\">"), "</section>")
}

/// The tags of that name in a part of a page, each with what follows it up to the next one.
fn tags<'a>(part: &'a str, name: &str) -> Vec<&'a str> {
    part.split(&format!("<{name}")).skip(1).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// Every figure of the table of points, by worker count and column.
fn points(page: &str) -> BTreeMap<(String, String), Option<f64>> {
    let mut figures = BTreeMap::new();
    for row in tags(between(section(page, "points"), "<tbody>", "</tbody>"), "tr") {
        let procs = attribute(row, "data-procs").expect("every row is of a point");
        for cell in tags(row, "td") {
            let name = attribute(cell, "data-column").expect("every cell has its column");
            figures.insert((procs.to_owned(), name.to_owned()), attribute(cell, "data-value").map(number));
        }
    }
    figures
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(values[middle - 1] + (values[middle] - values[middle - 1]) / 2.0),
    }
}

#[test]
fn every_figure_is_that_of_the_tables() {
    let corefit = Corefit::new();
    let sweep = ["sweep", "pipeline", "--quick", "--scale", "0.1", "--with-default", "--out", "p"];
    let done = corefit.run(&sweep);
    done.assert_code(0);
    let page = corefit.read("p/pipeline/report.html");
    let summary = corefit.read("p/pipeline/summary.csv");
    let figures = points(&page);
    let procs = column(&summary, "procs");
    let columns: Vec<&str> = summary.lines().next().unwrap().split(',').collect();
    let shown = |name: &&&str| !["target", "procs", "recommended"].contains(*name);
    for name in columns.iter().filter(shown) {
        for (procs, value) in procs.iter().zip(column(&summary, name)) {
            let expected = (!value.is_empty()).then(|| number(value));
            let shown = figures.get(&((*procs).to_owned(), (*name).to_owned()));
            assert_eq!(shown, Some(&expected), "{name} at {procs}");
        }
    }
    let chosen = procs[column(&summary, "recommended").iter().position(|is| *is == "true").unwrap()];
    let of_chosen = |name: &str| figures[&(chosen.to_owned(), name.to_owned())];
    let mut in_sentences = 0;
    for figure in tags(section(&page, "answer"), "data") {
        let (name, value) =
            (attribute(figure, "data-column").unwrap(), number(attribute(figure, "value").unwrap()));
        match name {
            "procs" => assert_eq!(value, number(chosen)),
            "confidence" | "regret_p95" | "noise_floor" => {}
            name => assert_eq!(Some(value), of_chosen(name), "{name}"),
        }
        in_sentences += 1;
    }
    assert!(in_sentences >= 4, "{in_sentences} figures");
    medians_are_those_of(&page, &corefit.read("p/pipeline/samples.csv"));
    samples_are_those_of(&page, &corefit.read("p/pipeline/samples.csv"));
    assert!(page.contains("srcdoc='") && page.contains("on CPU, "), "the flame graph is in it");
    let index = corefit.read("p/index.html");
    let row = between(&index, "<tr data-target=\"pipeline\"", "</tr>");
    assert!(row.contains("./pipeline/report.html"), "{row}");
    assert_eq!(attribute(row, "data-value").map(number), of_chosen("throughput"));
}

/// The table of counters has the median of every column over the samples that succeeded.
#[track_caller]
fn medians_are_those_of(page: &str, samples: &str) {
    let counters = section(page, "counters");
    let heads: Vec<&str> = tags(between(counters, "<thead>", "</thead>"), "th")
        .into_iter()
        .filter_map(|head| attribute(head, "data-procs"))
        .collect();
    let rows = tags(between(counters, "<tbody>", "</tbody>"), "tr");
    assert!(heads.len() >= 3 && rows.len() > 10, "{} columns, {} rows", heads.len(), rows.len());
    let (procs, status) = (column(samples, "procs"), column(samples, "status"));
    for row in rows {
        let name = attribute(row, "data-column").expect("the row has its column");
        let values = column(samples, name);
        for (head, cell) in heads.iter().zip(tags(row, "td")) {
            let is_of = |place: &usize| procs[*place] == *head && status[*place] == "ok";
            let of_point = (0..values.len()).filter(is_of).map(|place| values[place]);
            let expected = median(of_point.filter(|value| !value.is_empty()).map(number).collect());
            assert_eq!(attribute(cell, "data-value").map(number), expected, "{name} at {head}");
        }
    }
}

/// The samples that the script shows, and those of the table, are all of the journal.
#[track_caller]
fn samples_are_those_of(page: &str, samples: &str) {
    let data = between(page, "<script type=\"application/json\" id=\"data\">", "</script>");
    let data: Value = serde_json::from_str(data).expect("it is JSON");
    let rows = tags(between(section(page, "samples"), "<tbody>", "</tbody>"), "tr");
    let (procs, throughput) = (column(samples, "procs"), column(samples, "throughput"));
    assert_eq!(data["samples"].as_array().map(Vec::len), Some(procs.len()));
    assert_eq!(rows.len(), procs.len());
    let mut dots = 0;
    for (place, row) in rows.iter().enumerate() {
        let sample = &data["samples"][place];
        assert_eq!(sample[0].as_str().map_or_else(|| sample[0].to_string(), str::to_owned), procs[place]);
        let expected = (!throughput[place].is_empty()).then(|| number(throughput[place]));
        assert_eq!(sample[3].as_f64(), expected);
        let cell =
            tags(row, "td").into_iter().find(|cell| attribute(cell, "data-column") == Some("throughput"));
        assert_eq!(cell.and_then(|cell| attribute(cell, "data-value")).map(number), expected);
        dots += usize::from(procs[place] != "default");
    }
    let drawn = between(page, "data-samples=\"", "\"");
    assert_eq!(drawn, dots.to_string(), "every sample is a dot");
}

#[test]
fn whatever_something_is_called_stays_text() {
    let corefit = Corefit::new();
    small_sweep(&corefit, &[]);
    let hostile = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\"'&\u{202e}";
    let mut manifest: Value = serde_json::from_str(&corefit.read("p/x/sweep.json")).unwrap();
    for pointer in [
        "/target",
        "/command/name",
        "/command/unit",
        "/machine/cpu_model",
        "/machine/kernel",
        "/recommendation/target",
        "/recommendation/unit",
        "/recommendation/warnings/0/text",
        "/recommendation/warnings/0/code",
    ] {
        *manifest.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = hostile.into();
    }
    manifest["command"]["kind"]["argv"] = serde_json::json!(["sh", "-c", hostile]);
    corefit.write("p/x/sweep.json", &manifest.to_string());
    fs::create_dir(corefit.path("p/x/flame")).unwrap();
    corefit.write("p/x/flame/<script>.svg", "<svg height=\"9\"><title>'></iframe><b></title></svg>");
    corefit.run(&["report", "p"]).assert_code(0);
    for page in ["p/x/report.html", "p/index.html"] {
        let page = corefit.read(page);
        // In text none of it begins a tag, in an attribute none of it ends one.
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "it became markup");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "it is shown");
        assert!(!page.contains('\u{202e}'), "it does not turn what follows");
    }
    let page = corefit.read("p/x/report.html");
    let data = between(&page, "id=\"data\">", "</script>");
    assert_eq!(serde_json::from_str::<Value>(data).unwrap()["unit"], hostile);
}

/// Rewrites the journal in `p/x`: every row as `change` has it, by its number and fields.
fn rewrite(corefit: &Corefit, change: impl Fn(usize, Vec<&str>) -> Option<String>) {
    let samples = corefit.read("p/x/samples.csv");
    let mut lines = samples.lines();
    let mut text = format!("{}\n", lines.next().expect("a header"));
    for (place, line) in lines.enumerate() {
        if let Some(line) = change(place, line.split(',').collect()) {
            text += &format!("{line}\n");
        }
    }
    corefit.write("p/x/samples.csv", &text);
}

/// Takes the answer out of the manifest in `p/x`, as where a sweep was killed.
fn forget_answer(corefit: &Corefit) {
    let mut manifest: Value = serde_json::from_str(&corefit.read("p/x/sweep.json")).expect("a manifest");
    manifest["recommendation"] = Value::Null;
    corefit.write("p/x/sweep.json", &manifest.to_string());
}

/// Row without its throughput, failed.
fn failed(fields: &[&str]) -> String {
    let mut fields: Vec<&str> = fields.to_vec();
    (fields[4], fields[7]) = ("failed", "");
    fields.join(",")
}

#[track_caller]
fn report(corefit: &Corefit) -> String {
    corefit.run(&["report", "p/x"]).assert_code(0);
    corefit.read("p/x/report.html")
}

#[test]
fn a_sweep_that_was_killed_is_decided_from_what_it_left() {
    let corefit = Corefit::new();
    small_sweep(&corefit, &[]);
    forget_answer(&corefit);
    let page = report(&corefit);
    assert!(page.contains("not finished") && page.contains("did not come to its end"));
    assert!(section(&page, "answer").contains("Take <data data-column=\"procs\""));
    assert!(section(&page, "answer").contains("Confidence <b>unknown</b>"), "three rounds say none");
}

#[test]
fn a_sweep_without_success_says_so_and_shows_no_curve() {
    let corefit = Corefit::new();
    small_sweep(&corefit, &[]);
    rewrite(&corefit, |_, fields| Some(failed(&fields)));
    forget_answer(&corefit);
    let page = report(&corefit);
    assert!(page.contains("No recommendation: none of 6 samples succeeded."), "{}", section(&page, "answer"));
    assert!(!page.contains("id=\"points\"") && !page.contains("id=\"curve\""));
    assert!(!page.contains("<svg class=\"chart") && page.contains("data-sample=\"5\""));
    rewrite(&corefit, |_, _| None);
    assert!(report(&corefit).contains("No recommendation: no sample was measured."));
}

#[test]
fn a_point_that_fails_and_one_point_and_one_sample_are_shown_as_such() {
    let corefit = Corefit::new();
    small_sweep(&corefit, &[]);
    rewrite(&corefit, |_, fields| Some(if fields[1] == "2" { failed(&fields) } else { fields.join(",") }));
    forget_answer(&corefit);
    let page = report(&corefit);
    assert!(page.contains("3 of 6 samples did not succeed") && page.contains("class=\"crosses\" d=\"M"));
    assert!(section(&page, "points").contains("data-procs=\"1\"") && !page.contains("<tr data-procs=\"2\""));
    let is_first = std::cell::Cell::new(true);
    rewrite(&corefit, |_, fields| {
        let is_wanted = fields[1] == "1" && is_first.replace(false);
        is_wanted.then(|| fields.join(","))
    });
    let page = report(&corefit);
    assert!(page.contains("data-samples=\"1\"") && page.contains("Confidence <b>unknown</b>"));
    assert!(!page.contains("NaN"), "no figure that is none");
}

#[test]
fn what_was_not_measured_is_named_with_its_reason() {
    let corefit = Corefit::new();
    small_sweep(&corefit, &["--no-counters"]);
    let page = corefit.read("p/x/report.html");
    let missing = section(&page, "missing");
    for part in ["latency_p99_s", "--latency-metric", "cycles", "--no-counters", "goroutines", "no CPU quota"]
    {
        assert!(missing.contains(part), "{part}: {missing}");
    }
    assert!(section(&page, "flames").contains("--no-flamegraph"));
    assert!(section(&page, "scaling").contains("reports no latency"));
}

#[test]
fn the_command_line_in_a_report_measures_the_same_again() {
    let corefit = Corefit::new();
    let around =
        ["--ops", "{procs}0", "--env", "A=x y {procs}", "--prepare", "true 'a b'", "--unit", "a'b\"/s"];
    let plan = ["--seed", "7", "--timeout", "30s", "--no-counters", "--policy", "efficiency=0.5"];
    let odd = [&around[..], &plan].concat();
    small_sweep(&corefit, &odd);
    let page = corefit.read("p/x/report.html");
    let line = between(section(&page, "again"), "<code>", "</code>");
    let line = line
        .replace("&#39;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let words = shlex::split(&line).expect("a shell can read it");
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words.remove(0), "corefit");
    let before = words.iter().position(|word| *word == "--").unwrap();
    words.splice(before..before, ["--resume", "--out", "p", "-q"]);
    // Another plan or command is refused.
    corefit.run(&words).assert_code(0);
    assert_eq!(corefit.read("p/x/samples.csv").lines().count(), 7, "all of it was there already");
}

#[test]
fn a_report_goes_where_it_is_asked_for_and_wrong_paths_are_refused() {
    let corefit = Corefit::new();
    small_sweep(&corefit, &[]);
    corefit.run(&["report", "p/x", "-o", "y.html"]).assert_code(0);
    assert!(corefit.read("y.html").starts_with("<!doctype html>"));
    assert!(!corefit.read("y.html").contains("../index.html"), "no link that leads nowhere");
    let done = corefit.run(&["report", "p"]);
    done.assert_code(0);
    assert_eq!(done.out, "p/x/report.html\np/index.html\n");
    fs::create_dir(corefit.path("p/z")).unwrap();
    fs::copy(corefit.path("p/x/sweep.json"), corefit.path("p/z/sweep.json")).unwrap();
    fs::copy(corefit.path("p/x/samples.csv"), corefit.path("p/z/samples.csv")).unwrap();
    for args in [
        &["report", "p", "-o", "y.html"][..],
        &["report", "nowhere"],
        &["report", "y.html"],
        &["report", "."],
        &["report", "p/x", "-o", "no/such/folder.html"],
    ] {
        let done = corefit.run(args);
        done.assert_code(2);
        assert_eq!((done.err.lines().count(), &*done.out), (1, ""), "{args:?}: {}", done.err);
    }
}

/// How long a browser may take here before it is left out.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the page is after its script ran, and what a browser complains of; `None`, which is said, where there is no browser
/// or it does not come to its end.
fn in_browser(page: &Path, profile: &Path) -> Option<(String, String)> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let is_there = |name: &&&str| Command::new(name).arg("--version").stdin(Stdio::null()).output().is_ok();
    let Some(browser) = names.iter().find(is_there) else {
        println!("left out: there is no chromium");
        return None;
    };
    let (dom, log) = (profile.with_extension("html"), profile.with_extension("log"));
    let to = |path: &Path| Stdio::from(fs::File::create(path).expect("the folder can be written"));
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(to(&dom))
        .stderr(to(&log))
        .spawn()
        .expect("it started a moment ago");
    let begun = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
            println!("left out: chromium did not end within {} s", PATIENCE.as_secs());
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("it was made")).into_owned();
    Some((read(&dom), read(&log)))
}

#[test]
fn a_browser_runs_the_script_without_complaint() {
    let corefit = Corefit::new();
    corefit.run(&["sweep", "mandelbrot", "--quick", "--scale", "0.1", "--out", "p", "-q"]).assert_code(0);
    let page = corefit.path("p/mandelbrot/report.html");
    let Some((dom, log)) = in_browser(&page, &corefit.path("browser")) else { return };
    if dom.is_empty() {
        println!("left out: chromium does not run here: {log}");
        return;
    }
    let complaints: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(dom.contains("class=\"live\"") && dom.contains("data-text=\""), "the script came to its end");
}
