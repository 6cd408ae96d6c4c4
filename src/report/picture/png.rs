//! The picture as pixels.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::{drawing, letters};
use crate::report::html::Subject;

/// Pixels of the PNG to one of the drawing, so that it is sharp on paper and on dense screens.
const SCALE: f32 = 2.0;

/// The picture as a PNG.
#[must_use]
pub fn png(subject: &Subject<'_>) -> Vec<u8> {
    let drawing = letters::as_outlines(&drawing(subject));
    let tree = Tree::from_str(&drawing, &Options::default()).expect("what is drawn here is an SVG");
    let size = tree.size().to_int_size().scale_by(SCALE).expect("a picture has a size");
    let mut pixels = Pixmap::new(size.width(), size.height()).expect("a picture has a size");
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().expect("memory takes what is written")
}
