// What is open, what is shown of it, and the page's controls.

"use strict";

const byId = (id) => document.getElementById(id);
const EXPOSURE_STEP = 0.5; // of a key, in stops
const start = new URLSearchParams(location.hash.slice(1)); // hour, engine, lang, compare, lightmap

class App {
  constructor() {
    this.items = []; // {name, source, lightmap}; a source opens its bundle when it is first shown
    this.tone = "clip";
    this.bilinear = false;
    this.isComparing = false;
    this.view = new View(byId("stage"), () => this.request(), (texel, isTap) => this.point(texel, isTap));
    this.timeline = new Timeline(() => this.request());
  }

  /** How radiance is shown: a factor that makes the day's peak white, times the exposure. */
  get scale() {
    return 2 ** Number(byId("exposure").value) / this.shown.white;
  }

  /** The hour that is shown: truth is there for some hours only. */
  get hour() {
    const { hour } = this.timeline;
    if (!this.isComparing) return hour;
    const far = (other) => Math.min(Math.abs(other - hour), 24 - Math.abs(other - hour));
    return this.shown.truth.hours.reduce((best, other) => (far(other) < far(best) ? other : best));
  }

  // ---- files ----

  /** Adds a bundle's lightmaps to what can be shown; returns the number of the first. */
  add(source) {
    const first = this.items.length;
    this.items.push(...source.lightmaps.map((part, lightmap) => ({ name: part.name || source.name, source, lightmap })));
    byId("gallery-open").hidden = byId("next").hidden = byId("previous").hidden = this.items.length < 2;
    return first;
  }

  /** Opens bytes that a reader brought. */
  async openFile(file) {
    const name = file.name.replace(/\.tod$/i, "");
    try {
      const bundle = new Bundle(decoderModule, new Uint8Array(await file.arrayBuffer()), name);
      await this.show(this.add({ name, lightmaps: bundle.lightmaps, bundle: () => bundle, truth: () => null }));
    } catch (error) {
      if (!(error instanceof BundleError)) throw error;
      toast(sentenceOf(error, file.name));
    }
  }

  /** Shows item number k: decoded by the processor at once, then by the first engine that works, from `first` on: to ask
   * for a graphics card alone may take a second. Throws BundleError when its file is damaged. */
  async show(k, first = start.get("engine")) {
    const { name, source, lightmap } = this.items[k];
    const turn = (this.turn = {}); // a later call ends an earlier one
    const bundle = source.bundle();
    const { peak, hour } = bundle.brightest(lightmap);
    const white = bundle.isRadiance ? peak : 1;
    this.shown = { id: k, name, bundle, lightmap, white, truth: source.truth(lightmap) };
    this.hover = this.pinned = this.dayKey = null;
    if (!this.shown.truth) this.setComparing(false);
    byId("compare-row").hidden = !this.shown.truth;
    byId("message").hidden = true;
    delete document.documentElement.dataset.engine;
    const processor = new ProcessorEngine(bundle, lightmap);
    this.use(processor);
    this.timeline.mark(bundle);
    document.documentElement.dataset.firstPicture ??= performance.now().toFixed(0);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // that picture is on the screen
    if (this.turn !== turn) return;
    const reasons = [];
    const options = { peak, hour, first, mayBeSlow: start.has("engine"), reasons, processor };
    const engine = await startEngine(bundle, lightmap, options);
    if (this.turn !== turn) return engine.release();
    engine.onlost = () => this.show(k, ENGINES[ENGINES.indexOf(engine.name) + 1]);
    if (engine !== processor) this.use(engine);
    document.documentElement.dataset.engine = engine.name;
    document.documentElement.dataset.refused = reasons.join("; ");
    this.drawThumbs();
  }

  /** Draws with another engine from now on. */
  use(engine) {
    this.engine?.release();
    this.engine = engine;
    this.decodedHour = this.truthHour = undefined;
    byId("stage").replaceChildren(engine.canvas);
    this.view.resize(engine.part.width, engine.part.height);
    this.showChoices();
    this.tick(performance.now());
  }

  drawThumbs() {
    const { bundle, lightmap } = this.shown;
    return this.timeline.drawThumbs(bundle, lightmap, this.scale, this.tone);
  }

  // ---- the picture ----

  /** Draws once before the next frame, however much has changed until then. */
  request() {
    if (this.isRequested || !this.engine) return;
    this.isRequested = true;
    requestAnimationFrame((now) => {
      this.isRequested = false;
      this.tick(now);
    });
  }

  tick(now) {
    const { engine, view, timeline, shown } = this;
    timeline.advance(now);
    if (timeline.isPlaying) this.request();
    const { hour } = this;
    timeline.show(hour);
    if (engine.isBusy) return this.request(); // one picture at a time; the latest hour comes next
    if (hour !== this.decodedHour) {
      engine.decode(hour);
      this.decodedHour = hour;
    }
    if (this.isComparing) this.fetchTruth(hour);
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = engine;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const panels = view.panels.map(({ kind, ...box }) => {
      for (const side of Object.keys(box)) box[side] *= ratio;
      return { kind, ...box };
    });
    engine.draw({
      panels, zoom: view.zoom * ratio, panX: view.panX * ratio, panY: view.panY * ratio, bilinear: this.bilinear,
      scale: this.scale, tone: this.tone, truthScale: this.truthScale || 1, errorScale: 10 / shown.white,
      exact: !shown.bundle.isRadiance && this.scale === 1 && this.tone === "clip",
    });
    this.showLabels();
    const texel = this.pinned || this.hover;
    const readout = [shown.id, texel, hour, this.scale, this.tone, Boolean(this.pinned), page.language].join();
    if (readout !== this.readout) showTexel(this, texel, Boolean(this.pinned));
    this.readout = readout;
    document.documentElement.dataset.hour = hour.toFixed(4);
  }

  async fetchTruth(hour) {
    if (this.truthHour === hour) return;
    this.truthHour = hour;
    const { truth } = this.shown;
    const k = truth.hours.indexOf(hour);
    const rgba = await truth.rgba(k);
    if (this.truthHour !== hour) return; // another one was asked for meanwhile
    this.truthScale = truth.pictures[k].scale;
    this.engine.setTruth(rgba);
    this.request();
  }

  /** Names of the panels, and a frame around the pinned texel in each. */
  showLabels() {
    const { view, pinned } = this;
    const names = view.panels.map(({ kind, left, top }) => {
      const label = document.createElement("span");
      label.textContent = say(kind);
      const { truth } = this.shown;
      const psnr = kind === "error" && truth.pictures[truth.hours.indexOf(this.hour)].psnr_db;
      const notes = psnr ? [`${psnr.toFixed(1)} dB`, say("errorRange")] : [];
      label.append(...notes.map((textContent) => Object.assign(document.createElement("small"), { textContent })));
      label.style.cssText = `left:${left}px;top:${top + Math.max(0, view.panY - 44)}px`;
      return label;
    });
    const spots = !pinned ? [] : view.panels.map(({ left, top, width, height }) => {
      const spot = document.createElement("i");
      const size = Math.max(view.zoom, 7);
      const x = view.panX + (pinned[0] + 0.5) * view.zoom - size / 2;
      const y = view.panY + (pinned[1] + 0.5) * view.zoom - size / 2;
      spot.className = "spot";
      spot.hidden = x < 0 || y < 0 || x + size > width || y + size > height;
      spot.style.cssText = `left:${left + x}px;top:${top + y}px;width:${size}px;height:${size}px`;
      return spot;
    });
    byId("labels").replaceChildren(...(names.length > 1 ? names : []), ...spots);
  }

  point(texel, isTap) {
    if (!this.shown) return;
    if (isTap) this.pinned = texel && String(texel) !== String(this.pinned) ? texel : null;
    else this.hover = texel;
    this.request();
  }

  // ---- choices ----

  setComparing(on) {
    this.isComparing = on;
    this.view.kinds = on ? PANELS : ["light"];
    byId("compare").setAttribute("aria-pressed", on);
  }

  /** The state of all controls, in the page's language. */
  showChoices() {
    for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
    document.documentElement.lang = page.language;
    byId("language").textContent = say("language");
    for (const [id, key] of [["open", "open"], ["help-open", "help"], ["gallery-open", "gallery"], ["hour", "hour"], ["speed", "speed"]]) {
      byId(id).title = say(key);
      byId(id).setAttribute("aria-label", say(key));
    }
    byId("play").setAttribute("aria-label", say(this.timeline.isPlaying ? "pause" : "play"));
    byId("unpin").textContent = `${say("pinned")} ×`;
    for (const option of byId("speed").options) option.textContent = `${option.value} ${say("perSecond")}`;
    for (const button of byId("tone").children) button.setAttribute("aria-pressed", button.value === this.tone);
    for (const button of byId("filter").children) button.setAttribute("aria-pressed", (button.value === "bilinear") === this.bilinear);
    byId("exposure-value").textContent = `${Number(byId("exposure").value).toFixed(1)} ${say("stops")}`;
    byId("keys").replaceChildren(
      ...say("keys").flatMap((words) => words.map((text, k) => Object.assign(document.createElement(k ? "dd" : "dt"), { textContent: text })))
    );
    if (this.shown) showFile(this);
    this.request();
  }

  choose(what, value) {
    if (what === "tone") this.tone = value;
    if (what === "filter") this.bilinear = value === "bilinear";
    if (what === "compare" && this.shown.truth) {
      this.setComparing(!this.isComparing);
      this.view.fit();
    }
    if (what === "language") page.language = page.language === "en" ? "zh" : "en";
    if (what === "exposure") byId("exposure").value = value;
    this.showChoices();
    if (what === "tone" || what === "exposure") this.drawThumbs();
  }

  step(by) {
    const { length } = this.items;
    if (length > 1) show((this.shown.id + by + length) % length);
  }
}
