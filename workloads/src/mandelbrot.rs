//! The Mandelbrot set, rendered in tiles.
//!
//! - **Models**: rendering, simulation, any batch of independent pieces that take unequal time.
//! - **Op**: one tile of 16 × 16 pixels, in a goroutine of its own. Unit: `tiles/s`.
//! - **Expected**: linear. Tiles share nothing, and there are many more than processors, so that it does not matter that a
//!   tile inside the set takes a hundred times as long as one outside.
//! - **Blocks on**: nothing but the end of the tiles.

use crate::fan_out::fan_out;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "mandelbrot",
    about: "the Mandelbrot set in independent tiles",
    scaling: "linear",
    unit: "tiles/s",
    policy: None,
    parameters: &[],
    run,
};

/// Tiles at scale 1, as a square of them.
const TILES: u64 = 1_764;
/// The fewest tiles: at less than 64 pixels an edge, the area is too coarse to be checked.
const FEWEST_TILES: u64 = 16;
/// Pixels along the edge of a tile.
const TILE: usize = 16;
/// Steps after which a point that has not escaped counts as one of the set.
const LIMIT: u16 = 1_000;
/// The picture shows the square of this edge around (−0.75, 0), which holds all of the set.
const VIEW: f64 = 2.5;
/// Area of the set (Förstemann 2012: 1.506 591 856 ± 2.5e-8).
const AREA: f64 = 1.506_592;

/// A square picture: how it is cut, and where in the plane its pixels are.
#[derive(Clone, Copy, Debug)]
struct Picture {
    /// Tiles along an edge.
    tiles: usize,
}

impl Picture {
    fn of(settings: &Settings) -> Self {
        let tiles = settings.scaled(TILES, FEWEST_TILES) as f64;
        Self { tiles: tiles.sqrt().round() as usize }
    }

    /// Pixels along an edge.
    fn edge(self) -> usize {
        self.tiles * TILE
    }

    /// The centre of a pixel. That of its mirror image (the row counted from below) is exactly the conjugate.
    fn point(self, row: usize, column: usize) -> (f64, f64) {
        let half_pixel = VIEW / (2 * self.edge()) as f64;
        let from_centre = |index: usize| (2 * index + 1) as f64 - self.edge() as f64;
        (-0.75 + from_centre(column) * half_pixel, from_centre(row) * half_pixel)
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let picture = Picture::of(settings);
    let count = picture.tiles * picture.tiles;
    let watch = Stopwatch::start();
    let tiles =
        fan_out(0..count, move |index| render_tile(picture, index / picture.tiles, index % picture.tiles))?;
    let timed = watch.stop();
    check(picture, &tiles)?;
    Ok(Outcome { ops: count as u64, timed, latency_ns: None })
}

/// Steps to escape of every pixel of a tile, row by row.
#[inline(never)]
fn render_tile(picture: Picture, tile_row: usize, tile_column: usize) -> Vec<u16> {
    let mut pixels = Vec::with_capacity(TILE * TILE);
    for row in tile_row * TILE..(tile_row + 1) * TILE {
        for column in tile_column * TILE..(tile_column + 1) * TILE {
            pixels.push(steps_to_escape(picture.point(row, column)));
        }
    }
    pixels
}

/// Steps of z ← z² + c from 0 until |z| > 2, at most [`LIMIT`].
fn steps_to_escape((cx, cy): (f64, f64)) -> u16 {
    let (mut x, mut y) = (0.0, 0.0);
    for steps in 0..LIMIT {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return steps;
        }
        y = 2.0 * x * y + cy;
        x = xx - yy + cx;
    }
    LIMIT
}

/// Checks the picture by what is known of the set without iterating: it is its own mirror image, its two largest parts
/// have closed forms, nothing of it is outside the circle of radius 2, and its area.
fn check(picture: Picture, tiles: &[Vec<u16>]) -> Result<(), Failure> {
    let edge = picture.edge();
    let pixel = |row: usize, column: usize| {
        tiles[row / TILE * picture.tiles + column / TILE][row % TILE * TILE + column % TILE]
    };
    let mut inside = 0_u64;
    for row in 0..edge {
        for column in 0..edge {
            let steps = pixel(row, column);
            let (cx, cy) = picture.point(row, column);
            let wrong = |why| Failure(format!("wrong result: ({cx}, {cy}) took {steps} steps, but {why}"));
            if steps != pixel(edge - 1 - row, column) {
                return Err(wrong("its mirror image took another number"));
            }
            if is_in_cardioid_or_disc(cx, cy) && steps != LIMIT {
                return Err(wrong("it is in the set"));
            }
            if cx * cx + cy * cy > 4.0 && steps != 1 {
                return Err(wrong("it is outside the circle of radius 2"));
            }
            inside += u64::from(steps == LIMIT);
        }
    }
    let area = inside as f64 * (VIEW / edge as f64).powi(2);
    // Pixels cut by the border make it coarse: it is off by 1.5 % at 64 pixels an edge, by less than 1 % from 80 on.
    if (area / AREA - 1.0).abs() > 0.03 {
        return Err(Failure(format!("wrong result: the area of the set is {area:.4}, expected {AREA:.4}")));
    }
    Ok(())
}

/// Whether a point is in the set's main cardioid or in the disc to its left, away from their edges, which points leave
/// so slowly that rounding decides.
fn is_in_cardioid_or_disc(cx: f64, cy: f64) -> bool {
    let q = (cx - 0.25).powi(2) + cy * cy;
    let cardioid = q * (q + (cx - 0.25)) < 0.25 * cy * cy - 1e-9;
    let disc = (cx + 1.0).powi(2) + cy * cy < 0.0625 - 1e-9;
    cardioid || disc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small_picture() -> (Picture, Vec<Vec<u16>>) {
        let picture = Picture { tiles: 4 };
        let tiles = (0..16).map(|index| render_tile(picture, index / 4, index % 4)).collect();
        (picture, tiles)
    }

    #[test]
    fn a_right_picture_passes() {
        let (picture, tiles) = small_picture();
        check(picture, &tiles).unwrap();
    }

    #[test]
    fn one_wrong_pixel_is_noticed() {
        for tile in 0..16 {
            let (picture, mut tiles) = small_picture();
            tiles[tile][37] ^= 1;
            assert!(check(picture, &tiles).is_err(), "in tile {tile}");
        }
    }

    #[test]
    fn a_wrong_pixel_and_its_mirror_image_are_noticed_where_the_set_is_known() {
        let (picture, mut tiles) = small_picture();
        // Row 31 is the last above the real axis and row 32 its mirror image; column 40 is in the cardioid.
        tiles[6][15 * TILE + 8] = 3;
        tiles[10][8] = 3;
        assert!(check(picture, &tiles).unwrap_err().to_string().ends_with("it is in the set"));
    }

    #[test]
    fn a_set_that_is_too_large_is_noticed() {
        let (picture, mut tiles) = small_picture();
        for pixel in tiles.iter_mut().flatten() {
            *pixel = if *pixel > 4 { LIMIT } else { *pixel };
        }
        assert!(check(picture, &tiles).unwrap_err().to_string().contains("area"));
    }

    #[test]
    fn tiles_follow_the_scale() {
        let tiles = |scale| {
            let settings = Settings { scale, input: None, params: std::collections::BTreeMap::new() };
            Picture::of(&settings).tiles.pow(2)
        };
        assert_eq!([0.001, 1.0, 4.0].map(tiles), [16, 1_764, 7_056]);
    }
}
