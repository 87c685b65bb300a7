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
    let whole = end.saturating_sub(begin).as_secs_f64().max(f64::EPSILON);
    let x = |at: Duration| at.saturating_sub(begin).as_secs_f64() / whole * WIDTH;
    let y = |lane: Lane| lanes.all.binary_search(&lane).unwrap_or_default() * HEIGHT;
    let height = lanes.all.len() * HEIGHT;
    let mut svg = format!(
        "<svg class=\"lanes\" viewBox=\"0 0 {WIDTH} {height}\" style=\"height:{height}px\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"The tests by slot and time\">"
    );
    for worker in timeline.workers.values() {
        let span = span_of(timeline, worker);
        for slot in &worker.slots {
            let top = y(Lane { slot: *slot, more: 0 }) + 1;
            let (left, width) = (x(span.begin), x(span.end) - x(span.begin));
            let _ = write!(
                svg,
                "<rect class=\"process\" x=\"{left:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{}\"><title>{}</title></rect>",
                HEIGHT - 2,
                escaped(&worker.node)
            );
        }
    }
    let drawn = timeline.runs.iter().zip(&lanes.places).filter(|_| timeline.runs.len() <= MOST);
    for (run, place) in drawn {
        let Some(place) = place else { continue };
        let top = y(place.lane) + 3;
        let left = x(place.span.begin);
        // What is too short to be seen is drawn all the same.
        let width = (x(place.span.end) - left).max(0.8);
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{left:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{}\"><title>{}</title></rect>",
            run.outcome.as_str(),
            HEIGHT - 6,
            escaped(&view.id(run.test))
        );
    }
    svg.push_str("</svg>");
    svg
}
