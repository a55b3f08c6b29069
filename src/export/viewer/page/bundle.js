// A bundle in memory: the C decoder compiled to WebAssembly opens it, what the page shows of it is read here.
// The bytes are described in docs/bundle-format.md.

"use strict";

const NEAREST = 0;
const PREFIX_BYTES = 16;
const LATIN = new TextDecoder("utf-8", { fatal: false });

/** What the decoder says against a file: its number and its sentence; number 0 where memory runs out. */
class BundleError extends Error {
  constructor(number = 0, sentence = "there is not enough memory") {
    super(sentence);
    this.number = number;
  }
}

/** IEEE half precision -> number; the decoder has seen that it is finite. */
function halfToFloat(half) {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return half >> 15 ? -size : size;
}

class Bundle {
  /** Opens the `bytes` of a file with the decoder `module` (WebAssembly.Module). Throws BundleError. */
  constructor(module, bytes, name) {
    this.name = name;
    this.fileBytes = bytes.length;
    this.wasm = new WebAssembly.Instance(module).exports;
    const at = this.reserve(bytes.length);
    new Uint8Array(this.wasm.memory.buffer).set(bytes, at);
    this.check(this.wasm.open(at, bytes.length));
    // The decoder has seen the header, every number and every length: it may be read as it is.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const headerBytes = view.getUint32(12, true);
    const text = LATIN.decode(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes));
    this.header = JSON.parse(text);
    this.version = view.getUint32(8, true);
    this.hours = this.header.hours;
    this.bakedHours = this.hours.filter((hour) => !(this.header.made_hours || []).includes(hour));
    this.events = this.header.events;
    this.isRadiance = this.header.is_radiance;
    const whole = { name: "", firstRow: 0, height: this.header.height, width: this.header.width };
    this.lightmaps = (this.header.regions || []).map(([part, firstRow, height, width]) => {
      return { name: part, firstRow, height, width };
    });
    if (!this.lightmaps.length) this.lightmaps.push(whole);
    const f2 = PREFIX_BYTES + headerBytes + this.header.sections.mask;
    this.f2 = new Float32Array(this.header.sections.f2 / 2);
    for (let k = 0; k < this.f2.length; k++) this.f2[k] = halfToFloat(view.getUint16(f2 + 2 * k, true));
    this.residentBytes = this.wasm.resident_bytes();
    this.most = 0; // colours that there is room for
  }

  /** Multiply-adds of one texel at one hour. */
  get multiplyAdds() {
    const { latent_dim, coarse = [], hidden_f2: h, layers_f2: layers } = this.header;
    const z = coarse.reduce((sum, [, channels]) => sum + channels, latent_dim);
    return z * h + (layers - 1) * h * h + 3 * (z + h);
  }

  sentence(error) {
    const at = this.wasm.sentence(error);
    return LATIN.decode(new Uint8Array(this.wasm.memory.buffer, at, this.wasm.sentence_bytes(error)));
  }

  reserve(size) {
    const at = this.wasm.reserve(size);
    if (!at) throw new BundleError();
    return at;
  }

  /** Room for `count` colours and as many points, at the same addresses each time. */
  room(count) {
    if (count > this.most) {
      this.most = count;
      this.colours = this.reserve(12 * count);
      this.points = this.reserve(8 * count);
    }
  }

  check(error) {
    if (error) throw new BundleError(error, this.sentence(error));
  }

  /** A lightmap at an hour: height x width x 3, a view that the next call overwrites. */
  frame(lightmap, hour) {
    const { width, height } = this.lightmaps[lightmap];
    this.room(width * height);
    this.check(this.wasm.decode(lightmap, 0, 0, width, height, hour, this.colours));
    return new Float32Array(this.wasm.memory.buffer, this.colours, 3 * width * height);
  }

  /** Colours at points uv (count x 2 in [0, 1]): count x 3, a view that the next call overwrites. */
  sample(lightmap, uv, hour) {
    const count = uv.length / 2;
    this.room(count);
    new Float32Array(this.wasm.memory.buffer, this.points, uv.length).set(uv);
    this.check(this.wasm.sample(lightmap, count, this.points, hour, NEAREST, this.colours));
    return new Float32Array(this.wasm.memory.buffer, this.colours, 3 * count);
  }

  /** One texel at many hours: hours x 3. */
  day(lightmap, x, y, hours) {
    const { width, height } = this.lightmaps[lightmap];
    const uv = new Float32Array([(x + 0.5) / width, (y + 0.5) / height]);
    const colours = new Float32Array(3 * hours.length);
    hours.forEach((hour, k) => colours.set(this.sample(lightmap, uv, hour), 3 * k));
    return colours;
  }

  isValid(lightmap, x, y) {
    return this.wasm.is_valid(lightmap, x, y) === 1;
  }

  /** The packed latents of each level, full resolution first: views, good until the decoder is called again. */
  levels() {
    const { wasm } = this;
    const list = (at, count) => new Uint32Array(wasm.memory.buffer, at, count);
    return Array.from({ length: wasm.level_count() }, (_, k) => ({
      stride: wasm.level_stride(k),
      channels: wasm.level_channels(k),
      index: list(wasm.level_index(k), wasm.level_index_count(k)),
      words: list(wasm.level_words(k), wasm.level_word_count(k)),
    }));
  }

  /** The interval after each baked hour: where it starts, its length, and how far into it an event lies, or -1. */
  intervals() {
    const list = (at) => new Float64Array(this.wasm.memory.buffer, at, this.hours.length);
    return { starts: this.hours, lengths: list(this.wasm.interval_lengths()), steps: list(this.wasm.interval_events()) };
  }

  /** Bits per texel and baked frame: of the file, and of what stays in memory. */
  bitsPerTexel() {
    const values = this.header.height * this.header.width * this.bakedHours.length;
    return { file: (8 * this.fileBytes) / values, memory: (8 * this.residentBytes) / values };
  }

  /** The middles of a lightmap's texels, at most `across` x `down` of them, row by row. */
  grid(lightmap, across, down) {
    const { width, height } = this.lightmaps[lightmap];
    const columns = Math.min(across, width);
    const rows = Math.min(down, height);
    const uv = new Float32Array(2 * columns * rows);
    for (let y = 0, k = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        uv[k++] = (Math.floor(((x + 0.5) * width) / columns) + 0.5) / width;
        uv[k++] = (Math.floor(((y + 0.5) * height) / rows) + 0.5) / height;
      }
    }
    return { columns, rows, uv };
  }

  /** {peak, hour}: how bright the day's brightest hour gets but for its brightest texels, and which one that is. */
  brightest(lightmap) {
    const { columns, rows, uv } = this.grid(lightmap, 40, 40);
    let found = { peak: 0, hour: this.hours[0] };
    for (const hour of this.hours) {
      const colours = this.sample(lightmap, uv, hour);
      const bright = new Float32Array(columns * rows);
      for (let k = 0; k < bright.length; k++)
        bright[k] = Math.max(colours[3 * k], colours[3 * k + 1], colours[3 * k + 2]);
      const lit = bright.filter((value) => value > 0).sort();
      const peak = lit.length ? lit[Math.floor(0.995 * (lit.length - 1))] : 0;
      if (peak > found.peak) found = { peak, hour };
    }
    return { ...found, peak: found.peak || 1 };
  }
}
