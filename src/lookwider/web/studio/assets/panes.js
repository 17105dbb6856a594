// The pictures: what lies over them, the place under the pointer, and the keys.

function describedLabels(pane) {
  const found = mergedClasses([pane]).filter((row) => row.areas[0] > 0).slice(0, 6);
  return "Labels by " + pane.model + ": " + found.map((row) => row.name + " " + percent(row.areas[0])).join(", ");
}

function contextWords(pane) {
  if (!pane.context) return pane.tiles > 1 ? "in " + pane.tiles + " tiles" : "";
  return pane.context === "nothing" ? "without its context" : "with the context of " + pane.context;
}

class Pane {
  constructor(view, image, number, onMove, onPick) {
    this.view = view;
    this.image = image;
    this.maps = null;
    this.picture = made("img", { src: image.source, alt: image.name, width: image.width, height: image.height });
    this.labels = made("canvas", { class: "lw-labels", role: "img", "aria-label": describedLabels(view) });
    this.field = made("canvas", { class: "lw-field", "aria-hidden": "true", hidden: true });
    this.cross = made("span", { class: "lw-cross", "aria-hidden": "true", hidden: true });
    this.stage = made("div", {
      class: "lw-stage", tabindex: "0", role: "application", "aria-roledescription": "picture",
      "aria-label": describedLabels(view) + ". Arrow keys move, Enter tells more of a place.",
      style: "--shape:" + image.width / image.height + ";--size:" + image.height,
    }, this.picture, this.labels, this.field, this.cross);
    this.words = made("p", { class: "lw-place", "aria-hidden": "true" });
    const words = contextWords(view);
    this.node = made("figure", { class: "lw-pane" },
      made("figcaption", {},
        made("span", {}, made("b", {}, view.model), words ? " " + words : ""),
        made("span", { class: "lw-small" }, percent(view.confidence) + " sure on average")),
      this.stage, this.words);
    this.listen(number, onMove, onPick);
  }

  async load() {
    this.maps = await readPixels(this.view.maps);
  }

  listen(number, onMove, onPick) {
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      const limited = (value, length) => Math.max(0, Math.min(length - 1, Math.floor(value * length)));
      return [
        limited((event.clientY - box.top) / box.height, this.image.height),
        limited((event.clientX - box.left) / box.width, this.image.width),
      ];
    };
    this.stage.addEventListener("pointermove", (event) => onMove(...at(event), false));
    this.stage.addEventListener("pointerleave", () => onMove(null, null, false));
    this.stage.addEventListener("click", (event) => onPick(number, ...at(event)));
    this.stage.addEventListener("keydown", (event) => {
      const far = Math.max(1, Math.round(Math.min(this.image.height, this.image.width) / (event.shiftKey ? 8 : 64)));
      const steps = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far], ArrowRight: [0, far] };
      const [row, col] = this.place || [this.image.height >> 1, this.image.width >> 1];
      if (event.key in steps) {
        const [down, right] = steps[event.key];
        onMove(Math.max(0, Math.min(this.image.height - 1, row + down)),
          Math.max(0, Math.min(this.image.width - 1, col + right)), true);
      } else if (event.key === "Enter" || event.key === " ") onPick(number, row, col);
      else return;
      event.preventDefault();
    });
  }

  // Return the class, its share and the next likely class under a place of the image.
  under(row, col) {
    if (!this.maps) return null;
    const [y, x] = [Math.floor(row / this.image.factor), Math.floor(col / this.image.factor)];
    const i = 4 * (y * this.maps.width + x);
    const [label, share, next] = this.maps.data.subarray(i, i + 3);
    const classes = this.view.classes;
    return { ...classes[label], share: share / 255, next: next === label ? null : classes[next].name };
  }

  point(row, col) {
    this.place = row === null ? null : [row, col];
    this.cross.hidden = row === null;
    this.words.replaceChildren();
    if (row === null) return;
    this.cross.style.top = (100 * (row + 0.5)) / this.image.height + "%";
    this.cross.style.left = (100 * (col + 0.5)) / this.image.width + "%";
    const found = this.under(row, col);
    if (!found) return;
    this.words.append(swatch(found.colour), made("b", {}, found.name), " " + percent(found.share),
      found.next ? made("span", {}, " then " + found.next) : "");
  }

  paint(hidden, opacity, other) {
    if (!this.maps) return;
    paintLabels(this.labels, this.maps, this.view.classes, hidden, other);
    this.labels.style.opacity = opacity;
  }

  async showField(field) {
    this.reveal(false);
    if (!field) return;
    paintField(this.field, await readPixels(field.source), field.threshold);
    this.reveal(true);
  }

  // Show the field over the bare picture, or the labels again.
  reveal(shown) {
    this.field.hidden = !shown;
    this.labels.hidden = shown;
  }
}
