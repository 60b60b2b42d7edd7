//! A terminal as an SVG picture. It has its own background, so that it is readable on light and dark pages.

use std::fmt::Write as _;

use super::ansi::{Colour, Line, Style};

const FONT_SIZE: f64 = 14.0;
/// The width of a character and the height of a line, in pixels.
const CHARACTER: f64 = 8.4;
const LINE: f64 = 19.0;
/// The distance between the text and the edge of the window, and the height of its title bar.
const MARGIN: f64 = 18.0;
const TITLE_BAR: f64 = 34.0;

const CSS: &str = "\
text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d7dce5; white-space: pre; }
.b { font-weight: 700; } .f { fill: #8b93a3; }
.r { fill: #ff7b72; } .g { fill: #7ee787; } .y { fill: #f2cc60; } .l { fill: #79c0ff; } .m { fill: #d2a8ff; } .c { fill: #76e3ea; }";

/// Draws lines of at most `columns` characters.
pub(super) fn draw(lines: &[Line], columns: usize) -> String {
    let width = as_pixels(columns, CHARACTER) + 2.0 * MARGIN;
    let height = TITLE_BAR + as_pixels(lines.len(), LINE) + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" font-size=\"{FONT_SIZE}\">\n\
         <title>tbot in a terminal</title>\n\
         <style>{CSS}</style>\n\
         <rect x=\".5\" y=\".5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\" fill=\"#161b22\" stroke=\"#6e7681\"/>\n",
        width - 1.0,
        height - 1.0,
    );
    for (index, colour) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        let x = MARGIN + 4.0 + as_pixels(index, 20.0);
        let _ = writeln!(svg, "<circle cx=\"{x:.0}\" cy=\"18\" r=\"6\" fill=\"{colour}\"/>");
    }
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = TITLE_BAR + as_pixels(index + 1, LINE) - 5.0;
        let parts: String = line.iter().map(|(style, text)| draw_part(*style, text)).collect();
        let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y:.0}\" xml:space=\"preserve\">{parts}</text>");
    }
    svg + "</svg>\n"
}

fn as_pixels(count: usize, size: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) * size
}

fn draw_part(style: Style, text: &str) -> String {
    let colour = style.colour.map(|colour| match colour {
        Colour::Red => "r",
        Colour::Green => "g",
        Colour::Yellow => "y",
        Colour::Blue => "l",
        Colour::Magenta => "m",
        Colour::Cyan => "c",
    });
    let classes = [style.is_bold.then_some("b"), style.is_faint.then_some("f"), colour];
    let classes: Vec<&str> = classes.into_iter().flatten().collect();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if classes.is_empty() { text } else { format!("<tspan class=\"{}\">{text}</tspan>", classes.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::super::ansi::parse;
    use super::*;

    #[test]
    fn text_is_escaped_and_styled() {
        let svg = draw(&[parse("\x1b[1;34m-->\x1b[0m a & <b>"), Line::new()], 20);
        assert!(svg.contains("<tspan class=\"b l\">--&gt;</tspan> a &amp; &lt;b&gt;</text>"), "{svg}");
        assert_eq!(svg.matches("<text ").count(), 1);
    }
}
