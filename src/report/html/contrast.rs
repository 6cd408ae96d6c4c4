//! The colours of the style sheet against what they stand on: text 4.5 to 1, lines and areas 3 to 1, as WCAG 2.2 AA asks
//! (success criteria 1.4.3 and 1.4.11).

use std::collections::BTreeMap;

const STYLE: &str = include_str!("page.css");

/// Red, green, blue and opacity, each from 0 to 1.
type Colour = [f64; 4];

/// The colours of both themes by their names; a part of a stack is called `part3`, the first one `part`.
fn colours() -> BTreeMap<String, [Colour; 2]> {
    let mut found = BTreeMap::new();
    for line in STYLE.lines().filter(|line| line.contains("light-dark(#")) {
        let (start, rest) = line.split_once(": light-dark(").expect("the line has one");
        let name = match start.trim_start().strip_prefix('.') {
            Some(class) => class.split(' ').next().expect("a split has a first part").to_owned(),
            None => start.trim().trim_start_matches("--").to_owned(),
        };
        let pair = rest.split_once(')').expect("light-dark ends").0;
        let (light, dark) = pair.split_once(", ").expect("light-dark holds two colours");
        found.insert(name, [light, dark].map(colour));
    }
    found
}

fn colour(text: &str) -> Colour {
    let channel = |place: usize| {
        let digits = text.get(2 * place + 1..2 * place + 3).unwrap_or("ff");
        f64::from(u8::from_str_radix(digits, 16).expect("a colour is hexadecimal")) / 255.0
    };
    [0, 1, 2, 3].map(channel)
}

/// `colour` where it lies on an opaque `ground`.
fn over(colour: Colour, ground: Colour) -> Colour {
    let mix = |place: usize| colour[3] * colour[place] + (1.0 - colour[3]) * ground[place];
    [mix(0), mix(1), mix(2), 1.0]
}

/// Relative luminance, as WCAG defines it.
fn luminance(colour: Colour) -> f64 {
    let linear = |c: f64| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
}

fn ratio(a: Colour, b: Colour) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Fails unless `front` stands out from `ground`, which lies on paper, by `least` to 1 in both themes.
#[track_caller]
fn check(front: &str, ground: &str, least: f64) {
    let colours = colours();
    for (theme, name) in ["light", "dark"].into_iter().enumerate() {
        let ground_colour = over(colours[ground][theme], colours["paper"][theme]);
        let ratio = ratio(over(colours[front][theme], ground_colour), ground_colour);
        assert!(ratio >= least, "{front} on {ground}, {name}: {ratio:.2} to 1");
    }
}

#[test]
fn the_ratio_is_that_of_wcag() {
    assert!((ratio(colour("#000000"), colour("#ffffff")) - 21.0).abs() < 1e-9);
    assert!((ratio(colour("#767676"), colour("#ffffff")) - 4.54).abs() < 0.005);
    assert!((ratio(over(colour("#00000080"), colour("#ffffff")), colour("#ffffff")) - 3.98).abs() < 0.05);
}

#[test]
fn text_can_be_read_wherever_it_stands() {
    for ground in ["paper", "raised", "wash"] {
        for text in ["ink", "soft", "accent", "warn"] {
            check(text, ground, 4.5);
        }
    }
    check("on-accent", "accent", 4.5);
    check("paper", "ink", 4.5);
}

#[test]
fn lines_and_areas_stand_out_from_the_paper() {
    for graphic in ["accent", "soft", "ink", "warn", "faint"] {
        check(graphic, "paper", 3.0);
    }
    let parts: Vec<String> = colours().into_keys().filter(|name| name.starts_with("part")).collect();
    assert_eq!(parts.len(), crate::results::StackPart::NAMES.len());
    for part in parts {
        check(&part, "paper", 3.0);
    }
}
