"use strict";
// Adds what needs a script: comparing two pictures with a slider, and one panel of several at a
// time. Without it all pictures and panels are on the page.

function made(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function addViewers(gallery) {
  const examples = [...gallery.querySelectorAll(".example")];
  if (!examples.length) return;
  const keys = [...examples[0].querySelectorAll(".shot img")].map((image) => image.dataset.key);
  const choice = { left: keys[0], right: keys[2] };
  const viewers = examples.map((example) => new Viewer(example));
  const show = () => viewers.forEach((viewer) => viewer.show(choice.left, choice.right));

  const select = (side, text) => {
    const list = made("select", { onchange: () => { choice[side] = list.value; show(); } },
      ...keys.map((key) => made("option", { value: key, textContent: key })));
    list.value = choice[side];
    return [list, made("label", {}, text, " ", list)];
  };
  const [left, leftLabel] = select("left", "Compare");
  const [right, rightLabel] = select("right", "with");
  const swap = made("button", {
    type: "button", textContent: "swap",
    onclick: () => {
      [choice.left, choice.right] = [choice.right, choice.left];
      [left.value, right.value] = [choice.left, choice.right];
      show();
    },
  });
  examples[0].before(made("div", { className: "tools" }, leftLabel, rightLabel, swap));
  gallery.addEventListener("click", (event) => {
    const image = event.target.closest(".shot img");
    if (image) {
      choice.right = right.value = image.dataset.key;
      show();
    }
  });
  show();
}

class Viewer {
  constructor(example) {
    this.pictures = new Map(
      [...example.querySelectorAll(".shot img")].map((image) => [image.dataset.key, image]));
    this.under = made("img", {});
    this.over = made("img", { className: "over" });
    this.leftName = made("b", { className: "left" });
    this.rightName = made("b", { className: "right" });
    this.stage = made("div", { className: "stage" }, this.under, this.over,
      made("span", { className: "edge" }), this.leftName, this.rightName);
    this.range = made("input", {
      type: "range", min: 0, max: 100, value: 50, step: "any", ariaLabel: "How much of the left picture is shown",
      oninput: () => this.move(this.range.value),
    });
    const drag = (event) => {
      if (event.buttons & 1) {
        const box = this.stage.getBoundingClientRect();
        this.range.value = 100 * (event.clientX - box.left) / box.width;
        this.move(this.range.value);
      }
    };
    this.stage.addEventListener("pointerdown", drag);
    this.stage.addEventListener("pointermove", drag);
    this.stage.addEventListener("dragstart", (event) => event.preventDefault());
    example.querySelector(".beside").prepend(
      made("div", { className: "viewer" }, this.stage, this.range));
  }

  move(at) {
    this.stage.style.setProperty("--at", `${at}%`);
  }

  show(left, right) {
    for (const [key, image, name] of [[left, this.under, this.leftName], [right, this.over, this.rightName]]) {
      const picture = this.pictures.get(key);
      const named = picture.classList.contains("errors") ? `${key}: ${picture.dataset.title}` : key;
      Object.assign(image, { src: picture.src, alt: picture.alt, width: picture.width, height: picture.height });
      image.classList.toggle("pixels", picture.classList.contains("pixels"));
      name.textContent = named;
    }
  }
}

function addTabs(group) {
  const panels = [...group.querySelectorAll(":scope > .panel")];
  if (panels.length < 2) return;
  const buttons = panels.map((panel) => made("button", {
    type: "button", textContent: panel.dataset.name, onclick: () => choose(panel),
  }));
  const choose = (chosen) => panels.forEach((panel, i) => {
    panel.hidden = panel !== chosen;
    buttons[i].setAttribute("aria-pressed", panel === chosen);
  });
  panels[0].before(made("div", { className: "tabs" }, ...buttons));
  choose(panels[0]);
}

document.querySelectorAll(".gallery").forEach(addViewers);
document.querySelectorAll(".panels").forEach(addTabs);
