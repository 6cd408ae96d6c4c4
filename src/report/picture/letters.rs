//! Texts of a picture: as text in a font that the viewer has, or as outlines of the font that comes with the tool.
//!
//! Who draws writes `<text class="…" x="…" y="…">…</text>` alone; what a class looks like stands here, so that both forms
//! are as large and stand at the same place.

use std::fmt::Write as _;

use regex::{Captures, Regex};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// DejaVu Sans with the characters that a picture is likely to need; its licence is beside it. A character that it lacks
/// is drawn as a box.
const FONT: &[u8] = include_bytes!("letters.ttf");
/// What a viewer is asked for: a plain font, whatever it has.
const FAMILY: &str = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// How large the texts of a class are, in the picture's own pixels, where their place is, and whether they are heavy.
struct Style {
    size: f64,
    /// Share of their width that lies left of the place.
    before: f64,
    is_heavy: bool,
}

fn style(classes: &str) -> Style {
    let has = |class: &str| classes.split(' ').any(|one| one == class);
    let size = match classes {
        "title" => 20.0,
        "lead" | "odd" => 15.0,
        "key" => 13.5,
        _ if has("sign") => 13.0,
        _ => 12.5,
    };
    let before = match () {
        () if has("y") || has("end") => 1.0,
        () if has("x") || has("sign") => 0.5,
        () => 0.0,
    };
    Style { size, before, is_heavy: has("title") || has("chosen") }
}

/// Width of `text` in the font that comes with the tool, which is wider than most.
pub(super) fn width(class: &str, text: &str) -> f64 {
    let face = face();
    let em = text.chars().map(|letter| advance(&face, glyph(&face, letter))).sum::<f64>();
    em * style(class).size
}

/// Has `drawn` take the place of each text of `drawing`: it gets classes, place and what is written.
fn each_text(drawing: &str, drawn: impl Fn(&str, [f64; 2], &str) -> String) -> String {
    let texts = Regex::new("<text class=\"([^\"]*)\" x=\"([^\"]*)\" y=\"([^\"]*)\">([^<]*)</text>");
    let texts = texts.expect("the expression is fixed");
    let place = |part: &str| part.parse().expect("places are numbers that were written here");
    texts
        .replace_all(drawing, |found: &Captures<'_>| {
            drawn(&found[1], [place(&found[2]), place(&found[3])], &found[4])
        })
        .into_owned()
}

/// The drawing with its texts as text.
pub(super) fn as_text(drawing: &str) -> String {
    each_text(drawing, |classes, [x, y], text| {
        let Style { size, before, is_heavy } = style(classes);
        let anchor = if before > 0.9 {
            "end"
        } else if before > 0.1 {
            "middle"
        } else {
            "start"
        };
        let weight = if is_heavy { 700 } else { 400 };
        format!(
            "<text class=\"{classes}\" x=\"{x}\" y=\"{y}\" font-family=\"{FAMILY}\" font-size=\"{size}\" \
             font-weight=\"{weight}\" text-anchor=\"{anchor}\">{text}</text>"
        )
    })
}

/// The drawing with its texts as outlines.
pub(super) fn as_outlines(drawing: &str) -> String {
    let face = face();
    each_text(drawing, |classes, place, text| outlined(&face, classes, place, &unescaped(text)))
}

fn outlined(face: &Face<'_>, classes: &str, [x, y]: [f64; 2], text: &str) -> String {
    let Style { size, before, is_heavy } = style(classes);
    let mut pen = Pen { path: String::new(), x: x - before * width(classes, text), y, size: size / em(face) };
    for letter in text.chars() {
        let glyph = glyph(face, letter);
        face.outline_glyph(glyph, &mut pen);
        pen.x += advance(face, glyph) * size;
    }
    // The font has one weight; a line around its letters makes the other.
    let heavy = if is_heavy {
        format!(" style=\"stroke: inherit; stroke-width: {}\"", size / 30.0)
    } else {
        String::new()
    };
    format!("<g class=\"letters {classes}\"><path d=\"{}\"{heavy}/></g>", pen.path)
}

fn face() -> Face<'static> {
    Face::parse(FONT, 0).expect("the font that comes with the tool is one")
}

/// Units of the font to its size.
fn em(face: &Face<'_>) -> f64 {
    f64::from(face.units_per_em())
}

/// The glyph of a character; the box that stands for a missing one has the first number.
fn glyph(face: &Face<'_>, letter: char) -> GlyphId {
    face.glyph_index(letter).unwrap_or(GlyphId(0))
}

/// How far a glyph moves the pen, in sizes of the font.
fn advance(face: &Face<'_>, glyph: GlyphId) -> f64 {
    f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) / em(face)
}

/// What [`escape`](super::super::html::text::escape) made of a text, undone.
fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

/// Writes outlines as the path of an SVG.
struct Pen {
    path: String,
    /// Where the glyph begins on its line.
    x: f64,
    y: f64,
    /// Pixels of a unit of the font.
    size: f64,
}

impl Pen {
    fn push(&mut self, command: char, points: &[(f32, f32)]) {
        self.path.push(command);
        for (x, y) in points {
            let (x, y) = (self.x + f64::from(*x) * self.size, self.y - f64::from(*y) * self.size);
            let _ = write!(self.path, "{x:.2} {y:.2} ");
        }
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.push('M', &[(x, y)]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.push('L', &[(x, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.push('Q', &[(x1, y1), (x, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.push('C', &[(x1, y1), (x2, y2), (x, y)]);
    }

    fn close(&mut self) {
        self.path.push('Z');
    }
}
