// The page: what is asked for, and what comes back.

const find = (name) => element.querySelector("[data-" + name + "]");
const state = { panes: [], hidden: new Set(), wish: { against: "nothing" }, view: null };

function ask(change = {}) {
  Object.assign(state.wish, change);
  const { model, against, rival } = state.wish;
  const asked = { model, against };
  if (against === "model") asked.rival = rival;
  for (const which of ["image", "other"]) if (change[which]) asked[which] = change[which];
  if (against === "other" && !state.hasOther && !asked.other) return;
  if (asked.other) state.hasOther = true;
  if (asked.image) state.hasImage = true;
  if (state.hasImage) trigger("show", asked);
}

function tell(progress) {
  const busy = progress.state === "busy";
  const failed = progress.state === "error";
  find("status").hidden = !busy;
  find("words").textContent = busy ? progress.words : "";
  find("bar").value = progress.share || 0;
  if (!busy) find("stop").disabled = false;
  find("error").hidden = !failed;
  find("error").textContent = failed ? progress.words : "";
  if (failed) reveal(find("error"));
  if (progress.state === "stopped") find("live").textContent = progress.words;
  element.querySelector(".lw").setAttribute("aria-busy", String(busy));
}

async function open(file, which) {
  const most = props.catalogue.maxBytes;
  if (file.size > most) {
    const words = (file.size / 1e6).toFixed(1) + " MB, expected at most " + (most / 1e6).toFixed(0) + " MB";
    tell({ state: "error", words: "got a file of " + words + "; make it smaller" });
    return;
  }
  tell({ state: "busy", words: "sending " + file.name });
  try {
    const { path } = await upload(file);
    ask({ [which]: { upload: path } });
  } catch (error) {
    tell({ state: "error", words: "The file did not arrive; is the server still there?" });
  }
}

// On a narrow screen what is new lies below what was touched.
function reveal(node) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  node.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
}

function repaint() {
  const opacity = find("opacity").value / 100;
  find("opacity-value").textContent = find("opacity").value + " %";
  const [first, second] = state.panes;
  const differing = second && find("only-differing").checked && !find("differing").hidden;
  first?.paint(state.hidden, opacity, differing ? second.maps : null);
  second?.paint(state.hidden, opacity, differing ? first.maps : null);
  const query = (pane) => "?opacity=" + opacity + "&hidden=" +
    pane.classes.flatMap((one, k) => (state.hidden.has(one.name) ? [k] : [])).join(",");
  if (state.view) fillFiles(find("files"), state.view.panes, query);
}

function relist() {
  fillLegend(find("legend"), state.view.panes, state.hidden, (name, shown) => {
    if (shown) state.hidden.delete(name);
    else state.hidden.add(name);
    repaint();
  }, (names, shown) => {
    state.hidden = new Set(shown ? [] : names);
    for (const box of find("legend").querySelectorAll("input")) box.checked = shown;
    repaint();
  });
}

function move(row, col, aloud) {
  for (const pane of state.panes) pane.point(row, col);
  if (!aloud) return;
  const words = state.panes.map((pane) => [pane.under(row, col), pane]).filter(([found]) => found)
    .map(([found]) => found.name + " " + percent(found.share));
  find("live").textContent = "Row " + row + ", column " + col + ": " + words.join("; ");
}

function pick(number, row, col) {
  move(row, col, false);
  trigger("probe", { pane: number, row, col });
}

function tellDifference(difference) {
  const place = find("difference");
  place.hidden = !difference;
  find("differing").hidden = !difference;
  if (!difference) return;
  const moves = difference.moves.map((one) => one.before + " → " + one.after + " " + percent(one.share));
  place.replaceChildren("The labels differ at ", made("b", {}, percent(difference.share)), " of the pixels" +
    (moves.length ? ": " + moves.join(", ") : "") + ".");
}

async function showView() {
  const view = props.value;
  if (!view) return;
  const same = state.view && state.view.image.source === view.image.source;
  const hadFocus = state.panes.findIndex((pane) => pane.stage === document.activeElement);
  state.view = view;
  if (!same) state.hidden = new Set();
  const panes = view.panes.map((one, number) => new Pane(one, view.image, number, move, pick));
  state.panes = panes;
  find("empty").hidden = true;
  find("tools").hidden = false;
  find("read").hidden = false;
  find("panes").replaceChildren(...panes.map((pane) => pane.node));
  find("panes").classList.toggle("lw-two", panes.length === 2);
  panes[hadFocus]?.stage.focus();
  if (!same) reveal(find("panes"));
  relist();
  tellDifference(view.difference);
  try {
    await Promise.all(panes.map((pane) => pane.load()));
  } catch (error) {
    tell({ state: "error", words: error.message });
  }
  if (state.panes === panes) repaint();
}

async function showPoint() {
  const point = props.point;
  find("spot").hidden = !point;
  state.panes.forEach((pane, number) => {
    const own = point && point.field && point.pane === number;
    pane.showField(own ? point.field : null).catch((error) => tell({ state: "error", words: error.message }));
  });
  if (point && state.view) {
    fillPoint(find("spot-body"), point, state.view.panes, (shown) => {
      state.panes[point.pane].reveal(shown);
    });
  }
}

function offerModels() {
  const { models } = props.catalogue;
  const chosen = models.find((one) => one.name === state.wish.model) || models[0];
  state.wish.model = chosen.name;
  find("model").replaceChildren(...models.map((one) => made("option", { value: one.name }, one.name)));
  find("model").value = chosen.name;
  find("about").textContent = chosen.about;
  const options = [made("option", { value: "nothing" }, "nothing")];
  if (chosen.context) {
    options.push(made("optgroup", { label: "the same network" },
      made("option", { value: "zeros" }, "without its context"),
      made("option", { value: "other" }, "another picture's context")));
  }
  const rivals = models.filter((one) => one !== chosen);
  if (rivals.length) {
    options.push(made("optgroup", { label: "another network" },
      ...rivals.map((one) => made("option", { value: "model:" + one.name }, one.name))));
  }
  const { against, rival } = state.wish;
  const wanted = against === "model" ? "model:" + rival : against;
  find("against").replaceChildren(...options);
  find("against").value = wanted;
  if (find("against").selectedIndex < 0) {
    find("against").value = "nothing";
    state.wish.against = "nothing";
  }
  find("no-context").hidden = chosen.context;
  find("other").hidden = state.wish.against !== "other";
}

function offerSamples() {
  for (const place of element.querySelectorAll("[data-samples]")) {
    const which = place.dataset.samples;
    place.replaceChildren(...props.catalogue.samples.flatMap(({ name, lends }, number) => {
      if (which === "other" && !lends) return [];
      const picture = made("img", { src: "studio/samples/" + number + ".png", alt: "", width: 120, height: 96 });
      const button = made("button", { type: "button" }, picture, made("span", {}, name));
      button.addEventListener("click", () => ask({ [which]: { sample: number } }));
      return button;
    }));
  }
}

function listenToFiles() {
  for (const input of element.querySelectorAll("[data-file]")) {
    input.addEventListener("change", () => {
      if (input.files.length) open(input.files[0], input.dataset.file);
      input.value = "";
    });
  }
  const page = element.querySelector(".lw");
  const holds = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  page.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    page.classList.add("lw-dragging");
  });
  page.addEventListener("dragleave", (event) => {
    if (!page.contains(event.relatedTarget)) page.classList.remove("lw-dragging");
  });
  page.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    page.classList.remove("lw-dragging");
    const which = event.target.closest("[data-drop]")?.dataset.drop || "image";
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0], which);
  });
}

find("model").addEventListener("change", () => {
  state.wish.model = find("model").value;
  offerModels();
  ask();
});
find("against").addEventListener("change", () => {
  const [against, ...rest] = find("against").value.split(":");
  find("other").hidden = against !== "other";
  ask({ against, rival: rest.join(":") || null });
});
find("stop").addEventListener("click", () => {
  find("stop").disabled = true;
  find("words").textContent = "stopping after this step";
  trigger("stop");
});
find("opacity").addEventListener("input", repaint);
find("only-differing").addEventListener("change", repaint);
listenToFiles();
offerModels();
offerSamples();

// Without quotes: Gradio takes any quoted name for that of an event.
const onChange = { value: showView, progress: () => tell(props.progress), point: showPoint };
for (const [name, callback] of Object.entries(onChange)) watch(name, callback);
