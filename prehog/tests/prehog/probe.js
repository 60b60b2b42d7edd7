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
  const page = getComputedStyle(document.body).backgroundColor;
  const contrast = (selector, property) => {
    const element = document.querySelector(selector);
    if (!element) return null;
    const [one, other] = [luminance(getComputedStyle(element)[property]), luminance(page)];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const charts = all("svg");
  const misplaced = [];
  for (const chart of charts) {
    const box = chart.getBoundingClientRect();
    const texts = [...chart.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
    for (const [text, rect] of texts) {
      if (rect.left < box.left - 1 || rect.right > box.right + 1 || rect.top < box.top - 1 || rect.bottom > box.bottom + 1) {
        misplaced.push("outside of its chart: " + text.textContent);
      }
    }
    texts.forEach(([text, rect], index) => {
      for (const [other, otherRect] of texts.slice(index + 1)) {
        const isSeparate = rect.right <= otherRect.left || otherRect.right <= rect.left || rect.bottom <= otherRect.top + 2 || otherRect.bottom <= rect.top + 2;
        if (!isSeparate) misplaced.push("overlap: " + text.textContent + " and " + other.textContent);
      }
    });
  }
  const isNamed = (chart) => chart.getAttribute("aria-labelledby").split(" ").every((id) => document.getElementById(id)?.textContent);
  const measurements = {
    dark: matchMedia("(prefers-color-scheme: dark)").matches && luminance(page) < 0.1,
    overflow: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
    charts: charts.length,
    misplaced,
    smallest: Math.min(...all("svg text").map((text) => text.getBoundingClientRect().height), 99),
    contrast: { text: contrast("body", "color"), soft: contrast("header p", "color"), bar: contrast(".bar", "fill") },
    unnamed: charts.filter((chart) => chart.getAttribute("role") !== "img" || !isNamed(chart)).length,
    untabled: charts.filter((chart) => !chart.nextElementSibling?.querySelector("table caption")).length,
    focus: all("a[href], [tabindex='0']").map((element) => element.tagName.toLowerCase() + "." + element.className),
    loaded: performance.getEntriesByType("resource").length,
  };
  const output = document.createElement("pre");
  output.id = "measurements";
  output.textContent = JSON.stringify(measurements);
  document.body.append(output);
});
