// The pictures that the day was baked to, as far as the export put them into the page: 8 bits a channel, lossy. What was
// trained on display values is its own code; of radiance the code is the cube root of its share of the frame's largest value.

"use strict";

const PANELS = ["light", "truth", "error"];

/** RGBA bytes of a truth picture -> colours, count x 3. */
function truthColours(rgba, isRadiance, scale) {
  const colours = new Float32Array((3 * rgba.length) / 4);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    for (let c = 0; c < 3; c++) {
      const code = rgba[from + c] / 255;
      colours[to + c] = isRadiance ? scale * code ** 3 : code;
    }
  }
  return colours;
}

class Truth {
  /** `pictures`: for each hour that has one {hour, scale, psnr_db, data: base64}. */
  constructor(pictures, width, height) {
    this.pictures = pictures;
    this.hours = pictures.map(({ hour }) => hour);
    this.width = width;
    this.height = height;
    this.bytes = [];
  }

  /** RGBA bytes of hour number k; decoded once. */
  rgba(k) {
    if (!this.bytes[k]) this.bytes[k] = this.decode(this.pictures[k].data);
    return this.bytes[k];
  }

  async decode(base64) {
    const blob = new Blob([fromBase64(base64)], { type: "image/avif" });
    const picture = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return new Uint8Array(context.getImageData(0, 0, this.width, this.height).data.buffer);
  }

  /** One texel at all hours that have a picture: a list of {hour, rgb}. */
  async day(x, y, isRadiance) {
    const at = 4 * (y * this.width + x);
    return Promise.all(
      this.pictures.map(async ({ hour, scale }, k) => {
        return { hour, rgb: truthColours((await this.rgba(k)).subarray(at, at + 4), isRadiance, scale) };
      })
    );
  }
}

/** Bytes of base64. */
function fromBase64(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let k = 0; k < binary.length; k++) bytes[k] = binary.charCodeAt(k);
  return bytes;
}
