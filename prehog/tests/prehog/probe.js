"use strict";
addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = channels(colour).map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" && element.parentElement ? background(element.parentElement) : colour;
  };
  const ratio = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  // The lowest contrast of all elements with these selectors to what is behind them.
  const contrast = (selector, property) => {
    const behind = (element) => background(property === "backgroundColor" ? element.parentElement : element);
    const ratios = all(selector).map((element) => ratio(luminance(getComputedStyle(element)[property]), luminance(behind(element))));
    return ratios.length ? Math.min(...ratios) : null;
  };
  const misplaced = [];
  const checkPlaces = (box, texts) => {
    const places = texts.filter((text) => text.textContent).map((text) => [text, text.getBoundingClientRect()]);
    places.forEach(([text, rect], index) => {
      if (rect.left < box.left - 1 || rect.right > box.right + 1 || rect.top < box.top - 1 || rect.bottom > box.bottom + 1) {
        misplaced.push("outside of its chart: " + text.textContent);
      }
      for (const [other, otherRect] of places.slice(index + 1)) {
        const isSeparate = rect.right <= otherRect.left || otherRect.right <= rect.left || rect.bottom <= otherRect.top + 2 || otherRect.bottom <= rect.top + 2;
        if (!isSeparate) misplaced.push("overlap: " + text.textContent + " and " + other.textContent);
      }
    });
  };
  for (const chart of all("svg")) checkPlaces(chart.getBoundingClientRect(), [...chart.querySelectorAll("text")]);
  for (const row of all(".bars li")) checkPlaces(row.getBoundingClientRect(), [...row.querySelectorAll(".label, .numbers > *")]);
  for (const card of all(".card")) checkPlaces(card.getBoundingClientRect(), [...card.querySelectorAll("h2, h3, p, summary")]);
  const isNamed = (chart) => chart.getAttribute("aria-labelledby").split(" ").every((id) => document.getElementById(id)?.textContent);
  const measured = all("svg").filter((chart) => !chart.closest("[aria-hidden]"));
  // The levels of headings, each of which is at most one deeper than the one before.
  const levels = all("h1, h2, h3").map((heading) => Number(heading.tagName[1]));
  const measurements = {
    dark: matchMedia("(prefers-color-scheme: dark)").matches && luminance(background(document.body)) < 0.1,
    overflow: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
    sections: all("section[data-answers]").length,
    misplaced,
    smallest: Math.min(...all("main *").map((element) => parseFloat(getComputedStyle(element).fontSize))),
    contrast: {
      text: contrast("h1, h2, h3, .label, td, th, .starts, li", "color"),
      soft: contrast("p, .share, .change, .head span, .levels span", "color"),
      link: contrast("a, summary", "color"),
      bar: contrast(".bar", "backgroundColor"),
    },
    unnamed: measured.filter((chart) => chart.getAttribute("role") !== "img" || !isNamed(chart)).length,
    untabled: all("section.card").filter((section) => !section.querySelector("table caption")).length,
    unlabelled: all("section, nav, [role=region]").filter((landmark) => !landmark.getAttribute("aria-label") && !document.getElementById(landmark.getAttribute("aria-labelledby"))).length,
    skipped: levels.filter((level, index) => level > (levels[index - 1] ?? 0) + 1).length,
    main: all("main").length,
    focus: all("a[href], [tabindex='0'], summary, input, button").map((element) => element.tagName.toLowerCase() + "." + element.className),
    loaded: performance.getEntriesByType("resource").length,
  };
  const output = document.createElement("pre");
  output.id = "measurements";
  output.textContent = JSON.stringify(measurements);
  document.body.append(output);
});
