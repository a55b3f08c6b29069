// The cards beside the stage: a texel and its day, and what the file is.

"use strict";

const DAY_HOURS = Array.from({ length: 145 }, (_, k) => k / 6);

/** Shows texel [x, y] of what is open: its colour now, and the whole day as a chart. */
async function showTexel(app, texel, isPinned) {
  const byId = (id) => document.getElementById(id);
  byId("unpin").hidden = !isPinned;
  byId("where").textContent = texel ? `${texel[0]}, ${texel[1]}` : "";
  const { bundle, lightmap } = app.shown;
  const valid = texel && bundle.isValid(lightmap, ...texel);
  byId("hint").hidden = Boolean(valid);
  byId("hint").textContent = texel ? say("notValid") : say("hint");
  byId("readout").hidden = !valid;
  if (!valid) return;
  const now = app.hour;
  const rgb = bundle.day(lightmap, ...texel, [now]);
  byId("rgb").replaceChildren(
    ...Array.from(rgb, (value) => Object.assign(document.createElement("b"), { textContent: shortNumber(value) }))
  );
  const rgba = new Uint8ClampedArray(4);
  paintColours(rgb, rgba, bundle.isRadiance, app.scale, app.tone);
  byId("swatch").style.background = `rgb(${rgba[0]},${rgba[1]},${rgba[2]})`;
  // Just before an event the light is still the one before it.
  const hours = [...DAY_HOURS, ...bundle.events.map((hour) => hour - 1e-4), ...bundle.events].filter((hour) => hour >= 0);
  hours.sort((a, b) => a - b);
  const key = [app.shown.id, texel].join();
  if (app.dayKey !== key) {
    app.dayKey = key;
    const baked = bundle.day(lightmap, ...texel, bundle.bakedHours);
    app.day = {
      day: { hours, rgb: bundle.day(lightmap, ...texel, hours) },
      baked: bundle.bakedHours.map((hour, k) => ({ hour, rgb: baked.subarray(3 * k, 3 * k + 3) })),
      truth: [],
      events: bundle.events,
    };
  }
  drawChart(byId("chart"), { ...app.day, now });
  const truth = app.shown.truth;
  if (!truth || !isPinned || app.day.truth.length) return;
  const known = await truth.day(...texel, bundle.isRadiance);
  if (app.dayKey !== key) return;
  app.day.truth = known;
  drawChart(byId("chart"), { ...app.day, now: app.hour });
}

/** 67123 -> "67.1 kB". */
function sizeOf(bytes) {
  const [unit, name] = bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(bytes / unit).toPrecision(3)} ${name}`;
}

/** Shows what the open file is, in one line and as a list. */
function showFile(app) {
  const { bundle, lightmap, name } = app.shown;
  const { width, height } = bundle.lightmaps[lightmap];
  const { latent_dim: latents, latent_bits: bits, hidden_f2: hidden, layers_f2: layers } = bundle.header;
  const { file, memory } = bundle.bitsPerTexel();
  document.getElementById("name").textContent = name;
  document.title = `${name} · ${say("title")}`;
  const light = bundle.isRadiance ? say("valid") : say("displayValues");
  document.getElementById("facts").textContent =
    `${width} × ${height} · ${bundle.bakedHours.length} h · ${sizeOf(bundle.fileBytes)} · ${file.toFixed(3)} ${say("bits")}`;
  const rows = [
    ["size", `${sizeOf(bundle.fileBytes)} · ${file.toFixed(3)} ${say("bits")}`],
    ["memory", `${sizeOf(bundle.residentBytes)} · ${memory.toFixed(3)} ${say("bits")}`],
    ["latents", `${latents} × ${bits} ${say("bitsEach")}`],
    ["network", `${[latents, ...Array(layers).fill(hidden), 3].join(" → ")}, ${bundle.multiplyAdds} ${say("multiplyAdds")}`],
    ["baked", `${bundle.bakedHours.length} · ${light}`],
    ["events", bundle.events.map(clockOf).join(", ") || "–"],
    ["engine", ENGINE_NAMES[app.engine.name]],
  ];
  const terms = rows.flatMap(([key, text]) => [
    Object.assign(document.createElement("dt"), { textContent: say(key) }),
    Object.assign(document.createElement("dd"), { textContent: text }),
  ]);
  document.getElementById("about").replaceChildren(...terms);
}

const ENGINE_NAMES = {
  "webgl2-baked": "WebGL2, F2 in the shader",
  webgl2: "WebGL2",
  webgpu: "WebGPU",
  wasm: "WebAssembly",
};
