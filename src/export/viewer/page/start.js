// Keys and clicks, the gallery, dropped files; then the page opens what is embedded in it.

"use strict";

let decoderModule; // WebAssembly.Module
const app = new App();

function toast(sentence) {
  byId("toast").textContent = sentence;
  byId("toast").classList.add("on");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => byId("toast").classList.remove("on"), 8000);
}

/** What is said in place of a picture, or beside it where there is one. */
function complain(sentence) {
  if (app.shown) return toast(sentence);
  byId("message").textContent = sentence;
  byId("message").hidden = false;
}

function show(k) {
  return app.show(k).catch((error) => complain(sentenceOf(error, app.items[k].source.name)));
}

/** A bundle that is embedded in the page as `contents` says: decoded and opened when it is first shown. */
function embeddedSource({ name, lightmaps }, number) {
  const text = (id) => byId(id).textContent;
  let bundle;
  const truths = [];
  return {
    name,
    lightmaps,
    bundle: () => (bundle = bundle || new Bundle(decoderModule, fromBase64(text(`bundle-${number}`)), name)),
    truth(lightmap) {
      const { truth, width, height } = lightmaps[lightmap];
      if (!truth) return null;
      if (!truths[lightmap]) {
        const lines = text(`truth-${number}-${lightmap}`).trim().split("\n");
        truths[lightmap] = new Truth(truth.map((picture, k) => ({ ...picture, data: lines[k] })), width, height);
      }
      return truths[lightmap];
    },
  };
}

// ---- gallery ----

async function openGallery() {
  byId("gallery").showModal();
  const cards = app.items.map(({ name }, k) => {
    const card = document.createElement("button");
    const text = document.createElement("div");
    text.textContent = name;
    card.append(document.createElement("canvas"), text);
    card.addEventListener("click", () => {
      byId("gallery").close();
      show(k);
    });
    return card;
  });
  byId("cards").replaceChildren(...cards);
  const hour = app.shown ? app.hour : 12;
  cards[app.shown?.id]?.setAttribute("aria-current", true);
  cards[app.shown?.id || 0].focus();
  for (const [k, { source, lightmap }] of app.items.entries()) {
    await new Promise(requestAnimationFrame);
    if (!byId("gallery").open) return;
    try {
      drawCard(cards[k], source.bundle(), lightmap, hour);
    } catch (error) {
      cards[k].lastChild.append(Object.assign(document.createElement("small"), { textContent: sentenceOf(error, source.name) }));
    }
  }
}

/** Arrows go from card to card. */
function walkCards(event) {
  const cards = [...byId("cards").children];
  const across = cards.filter(({ offsetTop }) => offsetTop === cards[0].offsetTop).length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (!by) return;
  event.preventDefault();
  cards[cards.indexOf(document.activeElement) + by]?.focus();
}

/** A lightmap at an hour, as bright as its own day. */
function drawCard(card, bundle, lightmap, hour) {
  const { peak } = bundle.brightest(lightmap);
  const { columns, rows, uv } = bundle.grid(lightmap, 200, 200);
  const image = new ImageData(columns, rows);
  paintColours(bundle.sample(lightmap, uv, hour), image.data, bundle.isRadiance, bundle.isRadiance ? 1 / peak : 1, app.tone);
  const canvas = card.firstChild;
  [canvas.width, canvas.height] = [columns, rows];
  canvas.getContext("2d").putImageData(image, 0, 0);
  const { width, height } = bundle.lightmaps[lightmap];
  card.lastChild.append(Object.assign(document.createElement("small"), { textContent: `${width} × ${height} · ${sizeOf(bundle.fileBytes)}` }));
}

// ---- controls ----

const ACTIONS = {
  " ": () => app.timeline.toggle(),
  ArrowLeft: (event) => app.timeline.set(app.hour - (event.shiftKey || app.isComparing ? 1 : 0.25)),
  ArrowRight: (event) => app.timeline.set(app.hour + (event.shiftKey || app.isComparing ? 1 : 0.25)),
  "+": () => app.view.zoomBy(1.25),
  "=": () => app.view.zoomBy(1.25),
  "-": () => app.view.zoomBy(0.8),
  0: () => app.view.fit(),
  "[": () => app.choose("exposure", Number(byId("exposure").value) - EXPOSURE_STEP),
  "]": () => app.choose("exposure", Number(byId("exposure").value) + EXPOSURE_STEP),
  t: () => app.choose("tone", TONES[(TONES.indexOf(app.tone) + 1) % TONES.length]),
  b: () => app.choose("filter", app.bilinear ? "nearest" : "bilinear"),
  c: () => app.choose("compare"),
  g: () => app.items.length > 1 && openGallery(),
  o: () => byId("file").click(),
  l: () => app.choose("language"),
  PageUp: () => app.step(-1),
  PageDown: () => app.step(1),
  Escape: () => app.point(null, true),
  "?": () => byId("help").showModal(),
};

function listen() {
  document.addEventListener("keydown", (event) => {
    const isOther = event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]");
    const action = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const inControl = event.target.matches?.("select, #exposure") || (event.key === " " && event.target.matches?.("button"));
    if (!action || isOther || inControl || !app.shown) return;
    event.preventDefault();
    action(event);
    app.showChoices();
  });
  byId("play").addEventListener("click", () => app.showChoices());
  byId("exposure").addEventListener("input", () => app.choose("exposure", byId("exposure").value));
  for (const what of ["tone", "filter"])
    byId(what).addEventListener("click", ({ target }) => target.value && app.choose(what, target.value));
  for (const what of ["compare", "language"]) byId(what).addEventListener("click", () => app.choose(what));
  byId("fit").addEventListener("click", () => app.view.fit());
  for (const button of document.querySelectorAll("[data-zoom]"))
    button.addEventListener("click", () => app.view.zoomBy(Number(button.dataset.zoom)));
  byId("unpin").addEventListener("click", () => app.point(null, true));
  byId("stage").addEventListener("pointerleave", () => app.point(null, false));
  byId("previous").addEventListener("click", () => app.step(-1));
  byId("next").addEventListener("click", () => app.step(1));
  byId("gallery-open").addEventListener("click", openGallery);
  byId("cards").addEventListener("keydown", walkCards);
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  for (const dialog of document.querySelectorAll("dialog"))
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  byId("open").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files.length) app.openFile(target.files[0]);
    target.value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      byId("drop").classList.toggle("on", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) app.openFile(event.dataTransfer.files[0]);
    });
  }
  new ResizeObserver(() => app.shown && app.view.resize()).observe(byId("stage"));
}

async function open() {
  const contents = JSON.parse(byId("contents").textContent);
  page.language = start.get("lang") || (navigator.language.startsWith("zh") ? "zh" : "en");
  listen();
  app.showChoices();
  try {
    const packed = new Blob([fromBase64(byId("decoder").textContent)]);
    const bytes = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
    decoderModule = await WebAssembly.compile(bytes);
  } catch {
    return complain(say("unsupported"));
  }
  contents.bundles.forEach((bundle, k) => app.add(embeddedSource(bundle, k)));
  if (start.has("hour")) app.timeline.set(Number(start.get("hour")));
  if (!app.items.length) return complain(say("nothing"));
  await show(Math.min(Number(start.get("lightmap")) || 0, app.items.length - 1));
  if (start.has("compare")) app.choose("compare");
  document.documentElement.dataset.opened = performance.now().toFixed(0);
}

open();
