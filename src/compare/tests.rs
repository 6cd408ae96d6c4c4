use super::*;

const GATE: Gate = Gate { threshold: 0.05, alpha: 0.05, latency: None };

fn subject(points: &[(f64, &[f64])], recommended: f64) -> Subject {
    let measured = |&(procs, throughputs): &(f64, &[f64])| Measured {
        procs,
        throughputs: throughputs.to_vec(),
        latencies_s: Vec::new(),
        failed: 0,
    };
    Subject {
        target: "x".to_owned(),
        unit: Some("ops/s".to_owned()),
        points: points.iter().map(measured).collect(),
        recommended: Some(recommended),
        default: None,
    }
}

const FAST: [f64; 6] = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2];
const SLOW: [f64; 6] = [90.0, 91.0, 89.0, 90.5, 89.5, 90.2];
const NEAR: [f64; 6] = [98.0, 98.1, 97.9, 98.2, 97.8, 98.3];

#[track_caller]
fn check(base: &[f64], new: &[f64], expected: Verdict) -> Pair {
    let compared = compare(&subject(&[(1.0, base)], 1.0), &subject(&[(1.0, new)], 1.0), GATE);
    let pair = compared.points[0];
    assert_eq!(pair.verdict, expected, "{pair:?}");
    assert_eq!(compared.recommended, Some(pair));
    pair
}

#[test]
fn a_loss_is_a_regression_if_it_is_large_and_no_chance() {
    let pair = check(&FAST, &SLOW, Verdict::Regression);
    assert!((pair.ratio.unwrap() - 0.9).abs() < 0.002 && pair.hi.unwrap() < 0.95, "{pair:?}");
    assert_eq!(pair.p, Some(2.0 / 924.0));
    check(&FAST, &NEAR, Verdict::Slower);
    check(&NEAR, &FAST, Verdict::Faster);
    check(&SLOW, &FAST, Verdict::Improvement);
    check(&FAST, &FAST, Verdict::Same);
}

#[test]
fn a_large_loss_that_may_be_chance_is_none() {
    check(&[100.0, 50.0, 150.0, 80.0, 120.0, 60.0], &[90.0, 55.0, 130.0, 70.0, 100.0, 50.0], Verdict::Same);
}

#[test]
fn too_few_samples_say_how_many_it_takes() {
    let pair = check(&FAST[..3], &SLOW[..3], Verdict::TooFew);
    assert!((pair.ratio.unwrap() - 0.9).abs() < 0.01 && pair.lo.is_none());
    let note = &compare(&subject(&[(2.0, &FAST[..3])], 2.0), &subject(&[(2.0, &SLOW)], 2.0), GATE).warnings;
    assert!(note.is_empty(), "3 against 6 are enough: {note:?}");
    let few = compare(&subject(&[(2.0, &FAST[..3])], 2.0), &subject(&[(2.0, &SLOW[..3])], 2.0), GATE);
    assert!(few.warnings[0].text.contains("3 and 3 at 2 procs, where p < 0.05 takes 4"), "{few:?}");
    check(&FAST[..4], &SLOW[..4], Verdict::Regression);
}

#[test]
fn a_program_that_no_longer_works_is_a_regression() {
    let base = subject(&[(1.0, &FAST), (2.0, &FAST)], 2.0);
    let mut new = subject(&[(1.0, &FAST), (2.0, &[])], 1.0);
    new.points[1].failed = 2;
    let compared = compare(&base, &new, GATE);
    assert_eq!(compared.points[1].verdict, Verdict::Failed);
    assert!(compared.is_regression());
    assert_eq!(compare(&new, &base, GATE).points.len(), 1, "what did not work before cannot get slower");
}

#[test]
fn the_recommended_counts_are_compared_though_they_differ() {
    let base = subject(&[(1.0, &FAST), (2.0, &FAST), (4.0, &FAST)], 4.0);
    let new = subject(&[(1.0, &SLOW), (2.0, &FAST), (8.0, &FAST)], 1.0);
    let compared = compare(&base, &new, GATE);
    assert_eq!(compared.points.iter().map(|pair| pair.base.procs).collect::<Vec<_>>(), [1.0, 2.0]);
    let recommended = compared.recommended.unwrap();
    assert_eq!((recommended.base.procs, recommended.new.procs), (4.0, 1.0));
    assert_eq!(recommended.verdict, Verdict::Regression);
    let codes: Vec<&str> = compared.warnings.iter().map(|note| note.code.as_str()).collect();
    assert_eq!(codes, ["only-in-base", "only-in-new"]);
    assert!(compared.warnings[1].text.contains("worker count 8:"));
}

#[test]
fn the_same_program_is_rarely_called_different() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut run = || (0..8).map(|_| 100.0 + random.f64() * 30.0).collect::<Vec<f64>>();
    let compared: Vec<Verdict> = (0..400)
        .map(|_| {
            let (base, new) = (run(), run());
            compare(&subject(&[(1.0, &base)], 1.0), &subject(&[(1.0, &new)], 1.0), GATE).points[0].verdict
        })
        .collect();
    let different = compared.iter().filter(|verdict| **verdict != Verdict::Same).count();
    assert!(different <= 30, "{different} of 400, where 20 are expected at most");
}

#[test]
fn a_latency_closes_the_gate_only_where_it_is_asked_to() {
    let mut base = subject(&[(1.0, &FAST)], 1.0);
    let mut new = base.clone();
    base.points[0].latencies_s = FAST.to_vec();
    new.points[0].latencies_s = FAST.map(|x| 1.3 * x).to_vec();
    let is_regression = |base: &Subject, new: &Subject, latency: f64| {
        compare(base, new, Gate { latency: Some(latency), ..GATE }).is_regression()
    };
    assert!(is_regression(&base, &new, 0.2) && !is_regression(&base, &new, 0.4));
    assert!(!is_regression(&new, &base, 0.2), "shorter is no regression");
    assert!(!compare(&base, &new, GATE).is_regression());
    new.points[0].latencies_s.truncate(1);
    assert!(!is_regression(&base, &new, 0.2), "one sample may be chance");
    new.points[0].latencies_s.clear();
    let blind = compare(&base, &new, Gate { latency: Some(0.2), ..GATE });
    assert_eq!((blind.is_regression(), blind.warnings[0].code.as_str()), (false, "no-latency"));
}

#[test]
fn latencies_and_the_default_are_told_and_close_no_gate() {
    let mut base = subject(&[(1.0, &FAST)], 1.0);
    let mut new = base.clone();
    base.points[0].latencies_s = FAST.to_vec();
    new.points[0].latencies_s = FAST.map(|x| 2.0 * x).to_vec();
    base.default = Some(Measured { procs: f64::NAN, ..base.points[0].clone() });
    new.default = Some(Measured { throughputs: SLOW.to_vec(), ..base.default.clone().unwrap() });
    let compared = compare(&base, &new, GATE);
    let latency = compared.points[0].latency_p99.unwrap();
    assert!((latency.ratio - 2.0).abs() < 1e-12 && latency.p < 0.01, "{latency:?}");
    assert_eq!(compared.default.unwrap().verdict, Verdict::Regression);
    assert!(!compared.is_regression() && compared.recommended.unwrap().latency_p99.is_some());
}
