// What decodes: the first of a list that works, and that gives the same colours as the C decoder.

"use strict";

const ENGINES = ["webgpu", "webgl2-baked", "webgl2", "wasm"];
const CHECKED = 7; // texels along an axis that are compared
const SOFTWARE = /swiftshader|llvmpipe|software|basic render/i;
const TOLERANCE = 1e-5; // of the day's peak

/** Why an engine cannot be had, or is not used. */
class EngineError extends Error {}

/** `mayBeSlow`: also where a graphics card is only imitated, which the processor beats. */
async function makeEngine(name, bundle, lightmap, mayBeSlow) {
  if (name === "webgpu") return WebgpuEngine.make(bundle, lightmap, mayBeSlow);
  if (name === "webgl2-baked" && bundle.multiplyAdds > BAKED_MOST) throw new EngineError("the network is large");
  return new WebglEngine(bundle, lightmap, name === "webgl2-baked", mayBeSlow);
}

/** Compares some texels of an engine with the C decoder; throws EngineError where they differ: a shader may compile
 * and yet give zeros. */
async function checkEngine(engine, bundle, lightmap, hour, peak) {
  const { width, height } = bundle.lightmaps[lightmap];
  const texels = [];
  const along = (k, size) => Math.round((k / (CHECKED - 1)) * (size - 1));
  for (let k = 0; k < CHECKED ** 2; k++) texels.push([along(k % CHECKED, width), along(Math.floor(k / CHECKED), height)]);
  const uv = new Float32Array(texels.flatMap(([x, y]) => [(x + 0.5) / width, (y + 0.5) / height]));
  engine.decode(hour);
  const colours = await engine.read(texels);
  const right = bundle.sample(lightmap, uv, hour);
  let most = 0;
  for (let k = 0; k < right.length; k++) {
    const off = Math.abs(colours[k] - right[k]);
    if (!(off <= most)) most = off; // what is not a number too
  }
  if (!(most <= TOLERANCE * peak)) throw new EngineError(`colours differ by ${most}`);
}

/** The first engine that works, from `first` on if it is given, or else `processor`, which always does; `reasons` gets why
 * the ones before it do not. */
async function startEngine(bundle, lightmap, { hour, peak, first, mayBeSlow, reasons, processor }) {
  const from = Math.max(0, ENGINES.indexOf(first));
  for (const name of ENGINES.slice(from)) {
    if (name === processor.name) break;
    let engine;
    try {
      engine = await makeEngine(name, bundle, lightmap, mayBeSlow);
      await checkEngine(engine, bundle, lightmap, hour, peak);
      return engine;
    } catch (error) {
      engine?.release();
      if (error instanceof BundleError) throw error;
      reasons.push(`${name}: ${error.message}`);
    }
  }
  return processor;
}
