// The last resort that always works: the C decoder makes the whole frame, a canvas draws it.

"use strict";

const IN_MEMORY = { willReadFrequently: true }; // so that canvases do not wait for a graphics card either

class ProcessorEngine {
  constructor(bundle, lightmap) {
    this.name = "wasm";
    this.bundle = bundle;
    this.lightmap = lightmap;
    this.part = bundle.lightmaps[lightmap];
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", IN_MEMORY);
    const { width, height } = this.part;
    this.pictures = PANELS.map(() => {
      const picture = document.createElement("canvas");
      picture.width = width;
      picture.height = height;
      return picture;
    });
    this.isBusy = false;
    this.valid = new Uint8Array(width * height);
    for (let k = 0; k < this.valid.length; k++) this.valid[k] = bundle.isValid(lightmap, k % width, (k / width) | 0);
    this.painted = {};
  }

  decode(hour) {
    this.frame = this.bundle.frame(this.lightmap, hour).slice();
    this.painted = {};
  }

  async read(texels) {
    const { width } = this.part;
    const colours = new Float32Array(3 * texels.length);
    texels.forEach(([x, y], k) => colours.set(this.frame.subarray(3 * (y * width + x), 3 * (y * width + x) + 3), 3 * k));
    return colours;
  }

  setTruth(rgba) {
    this.truth = rgba;
    this.painted = {};
  }

  /** The picture of a panel, painted anew only where something of it has changed. */
  picture(kind, view) {
    const picture = this.pictures[PANELS.indexOf(kind)];
    const now = [view.scale, view.tone, view.truthScale, view.errorScale].join();
    if (this.painted[kind] === now) return picture;
    this.painted[kind] = now;
    const context = picture.getContext("2d", IN_MEMORY);
    const image = context.createImageData(picture.width, picture.height);
    const { isRadiance } = this.bundle;
    let colours = this.frame;
    if (kind !== "light" && this.truth) colours = truthColours(this.truth, isRadiance, view.truthScale);
    if (kind === "error") {
      for (let from = 0, to = 0; from < colours.length; from += 3, to += 4) {
        let off = 0;
        for (let c = 0; c < 3; c++) off = Math.max(off, Math.abs(colours[from + c] - this.frame[from + c]));
        heat(Math.min(1, view.errorScale * off)).forEach((value, c) => (image.data[to + c] = 255 * value));
      }
    } else {
      paintColours(colours, image.data, isRadiance, view.scale, view.tone);
    }
    for (let k = 0; k < this.valid.length; k++) image.data[4 * k + 3] = this.valid[k] ? 255 : 0;
    context.putImageData(image, 0, 0);
    return picture;
  }

  draw(view) {
    const { context, canvas, part } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const { kind, left, top, width, height } of view.panels) {
      context.save();
      context.beginPath();
      context.rect(left, top, width, height);
      context.clip();
      context.imageSmoothingEnabled = view.bilinear || view.zoom < 1;
      context.imageSmoothingQuality = "medium";
      const picture = this.picture(kind, view);
      context.drawImage(picture, left + view.panX, top + view.panY, part.width * view.zoom, part.height * view.zoom);
      context.restore();
    }
  }

  release() {}
}
