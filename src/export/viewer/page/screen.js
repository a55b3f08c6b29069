// The decoded hour on the screen: panels, pan and zoom, exposure, filter. A float texture comes in, filtered by hand.

"use strict";

const SCREEN_GLSL = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D frame, truth;
uniform ivec2 size; // of the lightmap
uniform vec2 canvas, pan;
uniform float zoom, scale, truthScale, errorScale;
uniform bool bilinear, isRadiance, exact;
uniform int tone, count;
uniform vec4 panels[3]; // left, top, width, height
uniform int kinds[3];   // 0 decoded, 1 truth, 2 error
out vec4 colour;
${TONE_GLSL}
vec4 texel(ivec2 at, bool isTruth) {
  vec4 decoded = texelFetch(frame, at, 0);
  if (!isTruth || decoded.a == 0.0) return decoded;
  vec3 code = texelFetch(truth, at, 0).rgb;
  return vec4(isRadiance ? truthScale * code * code * code : code, 1);
}

/* The valid texels around a place share its weight. */
vec4 filtered(vec2 place, bool isTruth) {
  if (!bilinear) return texel(ivec2(floor(place)), isTruth);
  vec2 corner = floor(place - 0.5), share = place - 0.5 - corner;
  vec4 sum = vec4(0);
  for (int k = 0; k < 4; k++) {
    ivec2 step = ivec2(k & 1, k >> 1);
    vec2 weight = mix(1.0 - share, share, vec2(step));
    vec4 one = texel(clamp(ivec2(corner) + step, ivec2(0), size - 1), isTruth);
    sum += weight.x * weight.y * vec4(one.rgb * one.a, one.a);
  }
  return sum.a > 0.0 ? vec4(sum.rgb / sum.a, 1) : vec4(0);
}

vec4 shown(vec2 place, int kind) {
  vec4 value = filtered(place, kind == 1);
  if (kind == 2) {
    vec3 off = abs(value.rgb - filtered(place, true).rgb);
    return vec4(heat(errorScale * max(off.r, max(off.g, off.b))) * value.a, value.a);
  }
  if (!exact) value.rgb = toSrgb(toneMap(scale * (isRadiance ? value.rgb : toLinear(value.rgb)), tone));
  return vec4(value.rgb * value.a, value.a);
}

void main() {
  vec2 pixel = vec2(gl_FragCoord.x, canvas.y - gl_FragCoord.y);
  colour = vec4(0);
  for (int k = 0; k < count; k++) {
    vec2 local = pixel - panels[k].xy;
    if (any(lessThan(local, vec2(0))) || any(greaterThan(local, panels[k].zw))) continue;
    int fine = clamp(int(ceil(1.0 / zoom)), 1, 4); // a pixel that covers many texels shows several of them
    for (int y = 0; y < fine; y++)
      for (int x = 0; x < fine; x++) {
        vec2 place = (local - 0.5 + (vec2(x, y) + 0.5) / float(fine) - pan) / zoom;
        if (all(greaterThanEqual(place, vec2(0))) && all(lessThan(place, vec2(size)))) colour += shown(place, kinds[k]);
      }
    colour /= float(fine * fine);
  }
}`;

const SCREEN_WGSL = `
struct View {
  panels: array<vec4f, 3>,
  kinds: vec4i, // of the panels; w: how many there are
  size: vec2f,
  pan: vec2f,
  zoom: f32, scale: f32, truthScale: f32, errorScale: f32,
  bilinear: i32, isRadiance: i32, exact: i32, tone: i32,
}
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var frame: texture_2d<f32>;
@group(0) @binding(2) var truth: texture_2d<f32>;
${TONE_WGSL}
fn texel(at: vec2i, isTruth: bool) -> vec4f {
  let decoded = textureLoad(frame, at, 0);
  if (!isTruth || decoded.a == 0.0) { return decoded; }
  let code = textureLoad(truth, at, 0).rgb;
  return vec4f(select(code, view.truthScale * code * code * code, view.isRadiance == 1), 1.0);
}

fn filtered(place: vec2f, isTruth: bool) -> vec4f {
  if (view.bilinear == 0) { return texel(vec2i(floor(place)), isTruth); }
  let corner = floor(place - 0.5);
  let share = place - 0.5 - corner;
  var sum = vec4f(0.0);
  for (var k = 0; k < 4; k++) {
    let step = vec2i(k & 1, k >> 1);
    let weight = mix(1.0 - share, share, vec2f(step));
    let one = texel(clamp(vec2i(corner) + step, vec2i(0), vec2i(view.size) - 1), isTruth);
    sum += weight.x * weight.y * vec4f(one.rgb * one.a, one.a);
  }
  if (sum.a > 0.0) { return vec4f(sum.rgb / sum.a, 1.0); }
  return vec4f(0.0);
}

fn shown(place: vec2f, kind: i32) -> vec4f {
  let value = filtered(place, kind == 1);
  if (kind == 2) {
    let off = abs(value.rgb - filtered(place, true).rgb);
    return vec4f(heat(view.errorScale * max(off.r, max(off.g, off.b))) * value.a, value.a);
  }
  if (view.exact == 1) { return vec4f(value.rgb * value.a, value.a); }
  let light = select(toLinear(value.rgb), value.rgb, view.isRadiance == 1);
  return vec4f(toSrgb(toneMap(view.scale * light, view.tone)) * value.a, value.a);
}

@vertex fn corner(@builtin(vertex_index) k: u32) -> @builtin(position) vec4f {
  return vec4f(select(-1.0, 3.0, k == 1u), select(-1.0, 3.0, k == 2u), 0.0, 1.0);
}

@fragment fn paint(@builtin(position) pixel: vec4f) -> @location(0) vec4f {
  var colour = vec4f(0.0);
  for (var k = 0; k < view.kinds.w; k++) {
    let local = pixel.xy - view.panels[k].xy;
    if (any(local < vec2f(0.0)) || any(local > view.panels[k].zw)) { continue; }
    let fine = clamp(i32(ceil(1.0 / view.zoom)), 1, 4);
    for (var y = 0; y < fine; y++) {
      for (var x = 0; x < fine; x++) {
        let place = (local - 0.5 + (vec2f(f32(x), f32(y)) + 0.5) / f32(fine) - view.pan) / view.zoom;
        if (all(place >= vec2f(0.0)) && all(place < view.size)) { colour += shown(place, view.kinds[k]); }
      }
    }
    colour /= f32(fine * fine);
  }
  return colour;
}`;
