// WebGL2: every texel of the shown hour is decoded into a texture, which is then drawn. Latents are fetched as integers;
// only colours are ever filtered.

"use strict";

const VERTEX_GLSL = `#version 300 es
void main() { gl_Position = vec4(vec2[3](vec2(-1), vec2(3, -1), vec2(-1, 3))[gl_VertexID], 0, 1); }`;

/** The decoding pass of a bundle; `baked`: with the network's weights as constants. */
function decodeGlsl(day, listWidth, baked) {
  const [head, network, tail] = ["head", "network", "tail"].map((part) => SHADERS.glsl_es[part]);
  const lines = constantLines({ ...day.constants, TOD_TEXTURE_WIDTH: listWidth }, false);
  return [SHADERS.glsl_es.version + lines, head, baked ? unrolledNetwork(day) : network, tail].join("\n");
}

class WebglEngine {
  /** Compiles and uploads; throws EngineError where the browser cannot. */
  constructor(bundle, lightmap, baked, mayBeSlow) {
    this.name = baked ? "webgl2-baked" : "webgl2";
    this.bundle = bundle;
    this.lightmap = lightmap;
    this.part = bundle.lightmaps[lightmap];
    this.canvas = document.createElement("canvas");
    const gl = (this.gl = this.canvas.getContext("webgl2", { antialias: false, depth: false }));
    if (!gl) throw new EngineError("no WebGL2");
    const renderer = gl.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER;
    if (!mayBeSlow && SOFTWARE.test(gl.getParameter(renderer))) throw new EngineError("WebGL2 without a graphics card");
    if (!gl.getExtension("EXT_color_buffer_float")) throw new EngineError("no textures of floats to draw to");
    this.canvas.addEventListener("webglcontextlost", () => this.onlost?.());
    this.textures = 0;
    const day = shaderDay(bundle);
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    const longest = Math.max(day.words.length, day.weights.length / 4);
    this.listWidth = [2048, 4096, 8192].find((width) => longest <= width * width) || most;
    if (Math.max(this.part.width, this.part.height, this.listWidth, longest / this.listWidth) > most)
      throw new EngineError("larger than the graphics card's textures");
    this.decoder = this.program(decodeGlsl(day, this.listWidth, baked));
    this.screen = this.program(SCREEN_GLSL);
    this.list("tod_words", gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, day.words, 1);
    this.list("tod_weights", gl.RGBA32F, gl.RGBA, gl.FLOAT, day.weights, 4);
    this.frame = this.texture("frame", gl.RGBA32F, this.part.width, this.part.height);
    this.truthUnit = this.texture("truth", gl.RGBA8, this.part.width, this.part.height);
    this.target = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.frame.texture, 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE)
      throw new EngineError("textures of floats cannot be drawn to");
    gl.useProgram(this.decoder);
    gl.uniform1ui(gl.getUniformLocation(this.decoder, "tod_lightmap"), lightmap);
    this.hourPlace = gl.getUniformLocation(this.decoder, "tod_hour");
    this.places = {};
    const uniforms = gl.getProgramParameter(this.screen, gl.ACTIVE_UNIFORMS);
    for (let k = 0; k < uniforms; k++) {
      const { name } = gl.getActiveUniform(this.screen, k);
      this.places[name.replace("[0]", "")] = gl.getUniformLocation(this.screen, name);
    }
  }

  program(fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX_GLSL], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost())
        throw new EngineError(gl.getShaderInfoLog(shader));
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new EngineError(gl.getProgramInfoLog(program));
    return program;
  }

  /** A texture that stays bound, to the programs' sampler of that name. */
  texture(name, format, width, height) {
    const { gl } = this;
    const unit = this.textures++;
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    for (const program of [this.decoder, this.screen]) {
      gl.useProgram(program);
      gl.uniform1i(gl.getUniformLocation(program, name), unit);
    }
    return { unit, texture, width, height };
  }

  /** A long list as a texture, row by row. */
  list(name, format, layout, type, values, perTexel) {
    const { gl, listWidth: width } = this;
    const texels = values.length / perTexel;
    const rows = Math.ceil(texels / width);
    const full = Math.floor(texels / width);
    this.texture(name, format, width, rows);
    const row = width * perTexel;
    if (full) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, full, layout, type, values.subarray(0, full * row));
    const rest = texels - full * width;
    if (rest) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, full, rest, 1, layout, type, values.subarray(full * row));
  }

  /** Whether the last decoding is still under way: another one would only queue up behind it. */
  get isBusy() {
    const { gl } = this;
    if (!this.fence) return false;
    const state = gl.clientWaitSync(this.fence, 0, 0);
    if (state === gl.TIMEOUT_EXPIRED) return true;
    gl.deleteSync(this.fence);
    this.fence = null;
    return false;
  }

  decode(hour) {
    const { gl, part } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.viewport(0, 0, part.width, part.height);
    gl.useProgram(this.decoder);
    gl.uniform1f(this.hourPlace, hour);
    gl.activeTexture(gl.TEXTURE0 + this.frame.unit);
    gl.bindTexture(gl.TEXTURE_2D, null); // it is drawn to
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindTexture(gl.TEXTURE_2D, this.frame.texture);
    this.setFence();
  }

  /** Colours of some texels [x, y] of the decoded hour: count x 3. */
  async read(texels) {
    const { gl } = this;
    const rgba = new Float32Array(4 * texels.length);
    const buffer = gl.createBuffer(); // read back at once, when the card is done
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, rgba.byteLength, gl.STREAM_READ);
    texels.forEach(([x, y], k) => gl.readPixels(x, y, 1, 1, gl.RGBA, gl.FLOAT, 16 * k));
    this.setFence();
    while (this.isBusy && !gl.isContextLost()) await new Promise((done) => setTimeout(done, 1));
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, rgba);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    gl.deleteBuffer(buffer);
    if (gl.isContextLost() || gl.getError()) throw new EngineError("the graphics card gave up");
    return rgba.filter((_, k) => k % 4 < 3);
  }

  setFence() {
    const { gl } = this;
    if (this.fence) gl.deleteSync(this.fence);
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  }

  /** RGBA bytes of the truth's picture, width x height. */
  setTruth(rgba) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + this.truthUnit.unit);
    const { width, height } = this.truthUnit;
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  }

  draw(view) {
    const { gl, places, canvas } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.useProgram(this.screen);
    gl.uniform2i(places.size, this.part.width, this.part.height);
    gl.uniform2f(places.canvas, canvas.width, canvas.height);
    gl.uniform2f(places.pan, view.panX, view.panY);
    gl.uniform1f(places.zoom, view.zoom);
    gl.uniform1f(places.scale, view.scale);
    gl.uniform1f(places.truthScale, view.truthScale);
    gl.uniform1f(places.errorScale, view.errorScale);
    gl.uniform1i(places.bilinear, view.bilinear);
    gl.uniform1i(places.isRadiance, this.bundle.isRadiance);
    gl.uniform1i(places.exact, view.exact);
    gl.uniform1i(places.tone, TONES.indexOf(view.tone));
    gl.uniform1i(places.count, view.panels.length);
    view.panels.forEach(({ left, top, width, height }, k) => {
      gl.uniform4f(gl.getUniformLocation(this.screen, `panels[${k}]`), left, top, width, height);
      gl.uniform1i(gl.getUniformLocation(this.screen, `kinds[${k}]`), PANELS.indexOf(view.panels[k].kind));
    });
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  release() {
    this.onlost = null;
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
