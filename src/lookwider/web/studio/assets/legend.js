// Text beside the picture: figures, the legend's checkboxes, one place, the files.

function made(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function percent(share) {
  if (share > 0 && share < 0.001) return "<\u00a00.1\u00a0%";
  return (100 * share).toFixed(share > 0.9995 || share === 0 ? 0 : 1) + "\u00a0%";
}

function swatch(colour) {
  return made("span", { class: "lw-swatch", style: "background:" + colour, "aria-hidden": "true" });
}

function bar(share, colour) {
  const inner = made("span", { style: "width:" + (100 * share).toFixed(2) + "%;background:" + colour });
  return made("span", { class: "lw-bar", "aria-hidden": "true" }, inner);
}

// The classes of all panes by name, those that cover most first.
function mergedClasses(panes) {
  const rows = new Map();
  panes.forEach((pane, number) => {
    for (const one of pane.classes) {
      const row = rows.get(one.name) ||
        { name: one.name, colour: one.colour, areas: panes.map(() => null) };
      row.areas[number] = one.area;
      rows.set(one.name, row);
    }
  });
  const most = (row) => Math.max(...row.areas.map((area) => area || 0));
  return [...rows.values()].sort((a, b) => most(b) - most(a));
}

function legendRow(row, hidden, onToggle) {
  const box = made("input", { type: "checkbox" });
  box.checked = !hidden.has(row.name);
  box.addEventListener("change", () => onToggle(row.name, box.checked));
  const figures = row.areas.map((area) => made("span", { class: "lw-figure" }, area === null ? "–" : percent(area)));
  const bars = row.areas.map((area) => bar(area || 0, row.colour));
  return made("li", {},
    made("label", {}, box, swatch(row.colour), made("span", { class: "lw-name" }, row.name), ...figures),
    made("span", { class: "lw-bars" }, ...bars));
}

function fillLegend(place, panes, hidden, onToggle, onAll) {
  const rows = mergedClasses(panes);
  const seen = rows.filter((row) => row.areas.some((area) => area > 0));
  const absent = rows.filter((row) => !seen.includes(row));
  const list = (some) => made("ul", {}, ...some.map((row) => legendRow(row, hidden, onToggle)));
  const buttons = made("div", { class: "lw-row" });
  for (const [words, shown] of [["Show all", true], ["Hide all", false]]) {
    const button = made("button", { type: "button", class: "lw-button lw-plain" }, words);
    button.addEventListener("click", () => onAll(rows.map((row) => row.name), shown));
    buttons.append(button);
  }
  place.replaceChildren(buttons, list(seen));
  if (absent.length) {
    const words = absent.length === 1 ? "1 class that is not found" : absent.length + " classes that are not found";
    place.append(made("details", {}, made("summary", {}, words), list(absent)));
  }
}

function fillPoint(place, point, panes, onHide) {
  const pane = panes[point.pane];
  const rows = point.likeliest.map((one) => made("li", {},
    made("span", { class: "lw-label" }, swatch(one.colour), made("span", { class: "lw-name" }, one.name),
      made("span", { class: "lw-figure" }, percent(one.share))),
    made("span", { class: "lw-bars" }, bar(one.share, one.colour))));
  place.replaceChildren(
    made("p", { class: "lw-small" }, "Row " + point.row + ", column " + point.col + ", by " + pane.model),
    made("ul", {}, ...rows));
  if (!pane.probes) {
    place.append(made("p", { class: "lw-small" }, "The field is measured in pictures that need no tiles."));
  } else if (point.field) {
    const field = point.field;
    const button = made("button", { type: "button", class: "lw-button", "aria-pressed": "true" }, "Field shown");
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      button.textContent = shown ? "Field shown" : "Show field";
      onHide(shown);
    });
    place.append(
      made("p", {}, "What changes this place when it is covered by noise: ", made("b", {}, percent(field.shareOfImage)),
        " of the picture, as much as a square of " + Math.round(field.side) + " pixels; ",
        made("b", {}, percent(field.shareOfTheoretical || 0)), " of what could reach it."),
      made("p", { class: "lw-small" }, "Measured coarsely, by windows of " + field.window + " pixels." +
        (field.ownContext ? " With the picture's own context." : "")),
      button);
  }
}

function fillFiles(place, panes, query) {
  place.replaceChildren(...panes.map((pane) => {
    const name = pane.model + (pane.context ? ", context: " + pane.context : "");
    const link = (href, words) => made("a", { href, download: true, "aria-label": words + ", " + name }, words);
    return made("div", {}, panes.length > 1 ? made("p", { class: "lw-small" }, name) : "",
      made("div", { class: "lw-row" }, link(pane.labels, "Labels PNG"),
        link(pane.overlay + query(pane), "Overlay PNG"), link(pane.json, "Figures JSON")));
  }));
}
