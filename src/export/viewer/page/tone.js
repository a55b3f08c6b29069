// From decoded colours to what a screen shows; the same in JavaScript (thumbnails, the canvas without a GPU), GLSL and WGSL.

"use strict";

const TONES = ["clip", "reinhard", "filmic"];

/** sRGB [0, 1] -> linear: IEC 61966-2-1. */
function toLinear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

/** Linear -> sRGB in [0, 1]. */
function toSrgb(value) {
  if (!(value > 0)) return 0;
  if (value >= 1) return 1;
  return value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
}

/** Linear, 1 being white -> linear in [0, 1]. "filmic" is the fit of the ACES curve by Narkowicz (2015). */
function toneMap(value, tone) {
  if (tone === "reinhard") return (value * (1 + value / 16)) / (1 + value);
  if (tone === "filmic") return (value * (2.51 * value + 0.03)) / (value * (2.43 * value + 0.59) + 0.14);
  return value;
}

/** `count` colours -> RGBA bytes; what is not lit at all and is not valid stays as it is. */
function paintColours(rgb, rgba, isRadiance, scale, tone) {
  const exact = !isRadiance && scale === 1 && tone === "clip";
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) {
      const value = rgb[from + c];
      const shown = exact ? value : toSrgb(toneMap(scale * (isRadiance ? value : toLinear(value)), tone));
      rgba[to + c] = 255 * shown + 0.5;
    }
    rgba[to + 3] = 255;
  }
}

/** Colours of errors, black through red and yellow to white, at t in [0, 1]. */
function heat(t) {
  return [Math.min(1, 2.6 * t), Math.min(1, Math.max(0, 2.6 * t - 0.9)), Math.min(1, Math.max(0, 3.2 * t - 2.2))];
}

const TONE_GLSL = `
vec3 toLinear(vec3 v) { return mix(v / 12.92, pow((max(v, 0.04045) + 0.055) / 1.055, vec3(2.4)), greaterThan(v, vec3(0.04045))); }
vec3 toSrgb(vec3 v) {
  v = clamp(v, 0.0, 1.0);
  return mix(12.92 * v, 1.055 * pow(max(v, 0.0031308), vec3(1.0 / 2.4)) - 0.055, greaterThan(v, vec3(0.0031308)));
}
vec3 toneMap(vec3 v, int tone) {
  if (tone == 1) return v * (1.0 + v / 16.0) / (1.0 + v);
  if (tone == 2) return v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14);
  return v;
}
vec3 heat(float t) { return clamp(vec3(2.6 * t, 2.6 * t - 0.9, 3.2 * t - 2.2), 0.0, 1.0); }
`;

const TONE_WGSL = `
fn toLinear(v: vec3f) -> vec3f {
  return select(v / 12.92, pow((max(v, vec3f(0.04045)) + 0.055) / 1.055, vec3f(2.4)), v > vec3f(0.04045));
}
fn toSrgb(raw: vec3f) -> vec3f {
  let v = clamp(raw, vec3f(0.0), vec3f(1.0));
  return select(12.92 * v, 1.055 * pow(max(v, vec3f(0.0031308)), vec3f(1.0 / 2.4)) - 0.055, v > vec3f(0.0031308));
}
fn toneMap(v: vec3f, tone: i32) -> vec3f {
  if (tone == 1) { return v * (1.0 + v / 16.0) / (1.0 + v); }
  if (tone == 2) { return v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14); }
  return v;
}
fn heat(t: f32) -> vec3f { return clamp(vec3f(2.6 * t, 2.6 * t - 0.9, 3.2 * t - 2.2), vec3f(0.0), vec3f(1.0)); }
`;
