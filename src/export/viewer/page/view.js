// Where the lightmap lies on the stage: panels side by side, one pan and zoom for all of them; mouse, pen, touch, wheel.

"use strict";

const GAP = 10; // between panels, in CSS pixels
const MOST_ZOOM = 64; // CSS pixels of a texel
const TAP_PIXELS = 6; // that a pointer may move and still be a tap

class View {
  constructor(stage, changed, tapped) {
    this.stage = stage;
    this.changed = changed;
    this.tapped = tapped;
    this.kinds = ["light"];
    this.pointers = new Map();
    this.width = this.height = 1; // of the lightmap
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => this.up(event));
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("dblclick", () => this.fit());
  }

  /** Panels in CSS pixels, beside one another or below, whichever shows the lightmap larger. */
  get panels() {
    const { clientWidth, clientHeight } = this.stage;
    const count = this.kinds.length;
    const room = (across, down) =>
      Math.min((clientWidth - GAP * (across - 1)) / across / this.width, (clientHeight - GAP * (down - 1)) / down / this.height);
    const beside = room(count, 1) >= room(1, count);
    const width = beside ? (clientWidth - GAP * (count - 1)) / count : clientWidth;
    const height = beside ? clientHeight : (clientHeight - GAP * (count - 1)) / count;
    return this.kinds.map((kind, k) => {
      return { kind, left: beside ? k * (width + GAP) : 0, top: beside ? 0 : k * (height + GAP), width, height };
    });
  }

  /** The whole lightmap in the middle of its panel. */
  fit() {
    const [{ width, height }] = this.panels;
    const margin = width > 500 ? 0.95 : 1;
    this.zoom = Math.max(1e-3, margin * Math.min(width / this.width, height / this.height));
    this.panX = (width - this.zoom * this.width) / 2;
    this.panY = (height - this.zoom * this.height) / 2;
    this.isFitted = true;
    this.changed();
  }

  /** After the stage or the lightmap has changed its size. */
  resize(width = this.width, height = this.height) {
    const isOther = width !== this.width || height !== this.height;
    this.width = width;
    this.height = height;
    if (isOther || this.isFitted !== false) this.fit();
    else this.changed();
  }

  /** Zooms by `factor`, keeping a place of a panel where it is. */
  zoomAt(factor, x, y) {
    const [{ width, height }] = this.panels;
    const least = 0.5 * Math.min(width / this.width, height / this.height);
    const zoom = Math.min(MOST_ZOOM, Math.max(least, this.zoom * factor));
    this.panX = x - ((x - this.panX) * zoom) / this.zoom;
    this.panY = y - ((y - this.panY) * zoom) / this.zoom;
    this.zoom = zoom;
    this.moveBy(0, 0);
  }

  zoomBy(factor) {
    const [{ width, height }] = this.panels;
    this.zoomAt(factor, width / 2, height / 2);
  }

  /** Never so far that nothing is left to see. */
  moveBy(dx, dy) {
    const [{ width, height }] = this.panels;
    const inside = (pan, room, size) => Math.min(room * 0.8, Math.max(room * 0.2 - size, pan));
    this.panX = inside(this.panX + dx, width, this.zoom * this.width);
    this.panY = inside(this.panY + dy, height, this.zoom * this.height);
    this.isFitted = false;
    this.changed();
  }

  /** The place of an event in its panel, in CSS pixels. */
  local(event) {
    const box = this.stage.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const inside = (panel) => x < panel.left + panel.width + GAP && y < panel.top + panel.height + GAP;
    const panel = this.panels.find(inside) || this.panels[0];
    return { x: x - panel.left, y: y - panel.top };
  }

  /** The texel under an event, or null. */
  texel(event) {
    const { x, y } = this.local(event);
    const column = Math.floor((x - this.panX) / this.zoom);
    const row = Math.floor((y - this.panY) / this.zoom);
    return column >= 0 && row >= 0 && column < this.width && row < this.height ? [column, row] : null;
  }

  down(event) {
    if (event.button > 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.travelled = this.pointers.size > 1 ? Infinity : 0;
  }

  move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) {
      if (event.pointerType === "mouse") this.tapped(this.texel(event), false);
      return;
    }
    const { clientX, clientY } = event;
    this.travelled += Math.hypot(clientX - last.x, clientY - last.y);
    const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (other) {
      const before = Math.hypot(last.x - other.x, last.y - other.y);
      const now = Math.hypot(clientX - other.x, clientY - other.y);
      const { x, y } = this.local({ clientX: (clientX + other.x) / 2, clientY: (clientY + other.y) / 2 });
      this.moveBy((clientX - last.x) / 2, (clientY - last.y) / 2);
      if (before > 0) this.zoomAt(now / before, x, y);
    } else if (this.travelled > TAP_PIXELS) {
      this.moveBy(clientX - last.x, clientY - last.y);
    }
    this.pointers.set(event.pointerId, { x: clientX, y: clientY });
  }

  up(event) {
    if (this.pointers.delete(event.pointerId) && this.travelled <= TAP_PIXELS && event.type === "pointerup")
      this.tapped(this.texel(event), true);
  }

  wheel(event) {
    event.preventDefault();
    const { x, y } = this.local(event);
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.zoomAt(Math.exp(-0.0018 * lines * event.deltaY), x, y);
  }
}
