// A bundle as its shader reads it: two arrays and some constants, laid out as src/export/shader/day.py says. The shader's
// source is that of export_latent.py --shader; only what depends on the day is written here, for any bundle that is opened.

"use strict";

const NO_CEILING = 3e38;
const NO_EVENT = -1;
const BAKED_MOST = 8192; // multiply-adds: beyond, compilers take long or give up

/** `count` filled up to a multiple of four. */
function filled(count) {
  return Math.ceil(count / 4) * 4;
}

function bitLength(value) {
  return 32 - Math.clz32(value);
}

/** Where F2 takes its inputs from: channels of each level are filled up to a multiple of four. */
function inputPlaces(levels) {
  const places = [];
  for (const { channels } of levels) {
    const first = filled(places.length ? places[places.length - 1] + 1 : 0);
    for (let c = 0; c < channels; c++) places.push(first + c);
  }
  return places;
}

/** A layer of inputs x outputs weights and its bias as vectors of four, behind `rows`. */
function addLayer(rows, weight, bias, outputs, places) {
  const inputs = filled(places[places.length - 1] + 1);
  for (let o = 0; o < filled(outputs); o += 4) {
    const vector = (values, first) => [0, 1, 2, 3].map((k) => (o + k < outputs ? values[first + o + k] : 0));
    const block = new Float32Array(4 * (1 + inputs));
    block.set(vector(bias, 0));
    places.forEach((place, i) => block.set(vector(weight, i * outputs), 4 * (1 + place)));
    rows.push(block);
  }
}

/** What the network's sums are of an hour: the bias of R, G, B, then for four features three vectors, one to a colour. */
function addHour(rows, weight, bias, hours, t, places) {
  const block = new Float32Array(4 + 3 * filled(places[places.length - 1] + 1));
  for (let c = 0; c < 3; c++) block[c] = bias[3 * t + c];
  places.forEach((place, i) => {
    for (let c = 0; c < 3; c++) block[4 + 12 * (place >> 2) + 4 * c + (place & 3)] = weight[3 * (i * hours + t) + c];
  });
  rows.push(block);
}

function joined(Type, parts) {
  const all = new Type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Rows of the hours' table: for each interval its start as the sum of two floats, its length, its event. Row 0 is the
 * interval around midnight. The C decoder has placed the events. */
function hourTable({ starts, lengths, steps }) {
  const table = new Float32Array(4 * (starts.length + 1));
  const last = starts.length - 1;
  for (let row = 0; row <= starts.length; row++) {
    const k = row ? row - 1 : last;
    const start = row ? starts[k] : starts[k] - 24;
    table.set([start, start - Math.fround(start), lengths[k], steps[k] < 0 ? NO_EVENT : steps[k]], 4 * row);
  }
  return table;
}

/** {words, weights, constants} of an open bundle. */
function shaderDay(bundle) {
  const { latent_bits: bits, hidden_f2: hidden, layers_f2: layers, frame_scale: scale, coarse = [] } = bundle.header;
  const hours = bundle.hours.length;
  const constants = {};
  const parts = [];
  let count = 0;
  const add = (values) => {
    parts.push(values);
    count += values.length;
  };
  const addFloats = (values) => add(new Uint32Array(Float32Array.from(values).buffer));
  add(Uint32Array.from(bundle.lightmaps.flatMap(({ firstRow, height, width }) => [firstRow, height, width])));
  constants.TOD_HOURS = hours;
  constants.TOD_HOUR_TABLE = count;
  addFloats(hourTable(bundle.intervals()));
  constants.TOD_SCALE_TABLE = count;
  addFloats(scale);
  constants.TOD_LEVEL_TABLE = count;
  const levels = bundle.levels();
  let first = count + 6 * levels.length;
  for (const { stride, channels, index, words } of levels) {
    const across = Math.ceil(Math.ceil(bundle.header.width / stride) / 16);
    add(Uint32Array.of(stride, channels, bitLength(channels * bits), across, first, first + index.length));
    first += index.length + words.length;
  }
  for (const { index, words } of levels) {
    add(index);
    add(words);
  }

  const rows = [];
  const places = inputPlaces(levels);
  const wide = Array.from({ length: hidden }, (_, k) => k);
  let at = 0;
  const take = (size) => bundle.f2.subarray(at, (at += size));
  for (let layer = 0; layer < layers; layer++) {
    const inputs = layer ? wide : places;
    addLayer(rows, take(inputs.length * hidden), take(hidden), hidden, inputs);
  }
  const before = rows.reduce((sum, row) => sum + row.length / 4, 0);
  const inputs = filled(places[places.length - 1] + 1);
  const features = [...places, ...wide.map((k) => inputs + k)];
  const byHour = take(3 * features.length * hours);
  const biases = take(3 * hours);
  for (let t = 0; t < hours; t++) addHour(rows, byHour, biases, hours, t, features);
  Object.assign(constants, {
    TOD_LEVELS: levels.length,
    TOD_BITS: bits,
    TOD_WIDTH_BITS: bitLength(bits),
    TOD_STEP: [2 / (2 ** bits - 1)],
    TOD_Z4: inputs / 4,
    TOD_H4: filled(hidden) / 4,
    TOD_LAYERS: layers,
    TOD_HOUR_WEIGHTS: before,
    TOD_CEILING: [bundle.isRadiance ? NO_CEILING : 1],
  });
  return { words: joined(Uint32Array, parts), weights: joined(Float32Array, rows), constants };
}

/** A float as a literal of GLSL and WGSL. */
function literal(value) {
  return Math.fround(value).toExponential();
}

/** The constants' declarations. Integers stand as they are, floats as lists of one. */
function constantLines(constants, isWgsl) {
  const lines = Object.entries(constants).map(([name, value]) => {
    const [type, text] = Array.isArray(value) ? ["float", literal(value[0])] : ["uint", `${value}u`];
    return isWgsl ? `const ${name}: ${type === "uint" ? "u32" : "f32"} = ${text};` : `const ${type} ${name} = ${text};`;
  });
  return lines.join("\n");
}

/** GLSL of F2's hidden layers with every weight as a constant: many times as fast where loops over textures are slow. */
function unrolledNetwork({ weights, constants }) {
  const { TOD_Z4: inputs, TOD_H4: outputs, TOD_LAYERS: layers } = constants;
  let at = 0;
  const next = () => {
    const values = weights.subarray(at, (at += 4));
    return values.some((value) => value) ? `vec4(${Array.from(values, literal).join(",")})` : null;
  };
  const lines = ["void tod_hidden() {"];
  for (let layer = 0; layer < layers; layer++) {
    for (let k = 0; k < outputs; k++) {
      const terms = [next() || "vec4(0)"];
      for (let j = 0; j < 4 * (layer ? outputs : inputs); j++) {
        const weight = next();
        const from = layer ? `x${layer}_${j >> 2}` : `tod_z[${j >> 2}]`;
        if (weight) terms.push(`${weight} * ${from}.${"xyzw"[j & 3]}`);
      }
      lines.push(`vec4 x${layer + 1}_${k} = max(${terms.join("\n+ ")}, 0.0);`);
    }
  }
  for (let k = 0; k < outputs; k++) lines.push(`tod_h[${k}] = x${layers}_${k};`);
  return [...lines, "}"].join("\n");
}
