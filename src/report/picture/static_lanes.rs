//! The lanes as an image that needs no script.

use std::fmt::Write;
use std::time::Duration;

use super::lanes::{Lane, Lanes, span_of};
use super::markup::escaped;
use super::timeline::Timeline;
use crate::report::view::View;

const WIDTH: f64 = 1000.0;
const HEIGHT: usize = 18;
/// Where there are more tests, only their processes are drawn.
const MOST: usize = 1000;

/// Nothing where no process has run, or too many to be drawn this way.
pub fn svg(view: &View<'_>, timeline: &Timeline, lanes: &Lanes) -> String {
    let spans = || timeline.workers.values().map(|worker| span_of(timeline, worker));
    let (begin, end) = (spans().map(|it| it.begin).min(), spans().map(|it| it.end).max());
    let (Some(begin), Some(end)) = (begin, end) else { return String::new() };
    if timeline.workers.len() > MOST {
        return String::new();
    }
    let mut markup = String::new();
    for shard in 0..timeline.shard_count() {
        if let Some(shard) = timeline.shards.get(shard) {
            let _ = write!(markup, "<h3>{}</h3>", escaped(&shard.name));
        }
        let slots = timeline.slots_of(shard);
        let all = lanes.all.iter().filter(|lane| slots.contains(&lane.slot)).copied().collect();
        drawing(&mut markup, view, timeline, lanes, &Drawn { all, begin, end });
    }
    markup
}

/// The lanes of one image, and the time that it covers.
struct Drawn {
    all: Vec<Lane>,
    begin: Duration,
    end: Duration,
}

impl Drawn {
    fn x(&self, at: Duration) -> f64 {
        let whole = self.end.saturating_sub(self.begin).as_secs_f64().max(f64::EPSILON);
        at.saturating_sub(self.begin).as_secs_f64() / whole * WIDTH
    }

    /// None for a lane of another image.
    fn y(&self, lane: Lane) -> Option<usize> {
        Some(self.all.binary_search(&lane).ok()? * HEIGHT)
    }
}

fn drawing(svg: &mut String, view: &View<'_>, timeline: &Timeline, lanes: &Lanes, drawn: &Drawn) {
    let height = drawn.all.len() * HEIGHT;
    let _ = write!(
        svg,
        "<svg class=\"lanes\" viewBox=\"0 0 {WIDTH} {height}\" style=\"height:{height}px\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"The tests by slot and time\">"
    );
    for worker in timeline.workers.values() {
        let span = span_of(timeline, worker);
        let tops = worker.slots.iter().filter_map(|slot| drawn.y(Lane { slot: *slot, more: 0 }));
        for top in tops.map(|top| top + 1) {
            let (left, width) = (drawn.x(span.begin), drawn.x(span.end) - drawn.x(span.begin));
            let _ = write!(
                svg,
                "<rect class=\"process\" x=\"{left:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{}\"><title>{}</title></rect>",
                HEIGHT - 2,
                escaped(&worker.node)
            );
        }
    }
    let runs = timeline.runs.iter().zip(&lanes.places).filter(|_| timeline.runs.len() <= MOST);
    for (run, place) in runs {
        let Some((place, top)) = place.and_then(|place| Some((place, drawn.y(place.lane)? + 3)))
        else {
            continue;
        };
        let left = drawn.x(place.span.begin);
        // What is too short to be seen is drawn all the same.
        let width = (drawn.x(place.span.end) - left).max(0.8);
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{left:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{}\"><title>{}</title></rect>",
            run.outcome.as_str(),
            HEIGHT - 6,
            escaped(&view.id(run.test))
        );
    }
    svg.push_str("</svg>");
}
