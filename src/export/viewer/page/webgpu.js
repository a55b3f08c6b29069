// WebGPU: the same two steps as with WebGL2, the first one a compute pass on storage buffers.

"use strict";

class WebgpuEngine {
  /** Throws EngineError, or what the browser throws, where it cannot. */
  static async make(bundle, lightmap, mayBeSlow) {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) throw new EngineError("no WebGPU");
    const isSlow = adapter.info?.isFallbackAdapter || SOFTWARE.test(`${adapter.info?.architecture} ${adapter.info?.description}`);
    if (isSlow && !mayBeSlow) throw new EngineError("WebGPU without a graphics card");
    const day = shaderDay(bundle);
    const bytes = Math.max(day.words.byteLength, day.weights.byteLength);
    const { maxStorageBufferBindingSize: most, maxBufferSize, maxTextureDimension2D: side } = adapter.limits;
    const { width, height } = bundle.lightmaps[lightmap];
    if (bytes > Math.min(most, maxBufferSize) || Math.max(width, height) > side)
      throw new EngineError("larger than the graphics card's buffers");
    const requiredLimits = { maxStorageBufferBindingSize: most, maxBufferSize, maxTextureDimension2D: side };
    const engine = new WebgpuEngine(bundle, lightmap, await adapter.requestDevice({ requiredLimits }));
    await engine.prepare(day);
    return engine;
  }

  constructor(bundle, lightmap, device) {
    this.name = "webgpu";
    this.bundle = bundle;
    this.lightmap = lightmap;
    this.part = bundle.lightmaps[lightmap];
    this.device = device;
    this.isBusy = false;
    device.lost.then(() => this.onlost?.());
  }

  async prepare(day) {
    const { device, part } = this;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("webgpu");
    if (!this.context) throw new EngineError("no canvas for WebGPU");
    const format = navigator.gpu.getPreferredCanvasFormat();
    this.context.configure({ device, format, alphaMode: "premultiplied" });
    const { head, network, tail } = SHADERS.wgsl;
    const source = [constantLines(day.constants, true), head, network, tail].join("\n");
    const module = device.createShaderModule({ code: source });
    this.decoder = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
    const screen = device.createShaderModule({ code: SCREEN_WGSL });
    this.screen = await device.createRenderPipelineAsync({
      layout: "auto",
      vertex: { module: screen, entryPoint: "corner" },
      fragment: { module: screen, entryPoint: "paint", targets: [{ format }] },
    });
    const size = [part.width, part.height];
    const { STORAGE_BINDING, TEXTURE_BINDING, COPY_SRC, COPY_DST } = GPUTextureUsage;
    this.frame = device.createTexture({ size, format: "rgba32float", usage: STORAGE_BINDING | TEXTURE_BINDING | COPY_SRC });
    this.truth = device.createTexture({ size, format: "rgba8unorm", usage: TEXTURE_BINDING | COPY_DST });
    this.pass = this.buffer(new Uint32Array([0, this.lightmap, 0, 0]), GPUBufferUsage.UNIFORM);
    this.view = this.buffer(new Uint32Array(28), GPUBufferUsage.UNIFORM);
    const entries = (...all) => all.map((resource, binding) => ({ binding, resource }));
    const words = this.buffer(day.words, GPUBufferUsage.STORAGE);
    const weights = this.buffer(day.weights, GPUBufferUsage.STORAGE);
    this.decoderGroup = device.createBindGroup({
      layout: this.decoder.getBindGroupLayout(0),
      entries: entries({ buffer: words }, { buffer: weights }, this.frame.createView(), { buffer: this.pass }),
    });
    this.screenGroup = device.createBindGroup({
      layout: this.screen.getBindGroupLayout(0),
      entries: entries({ buffer: this.view }, this.frame.createView(), this.truth.createView()),
    });
  }

  buffer(values, usage) {
    const buffer = this.device.createBuffer({ size: values.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    this.device.queue.writeBuffer(buffer, 0, values);
    return buffer;
  }

  decode(hour) {
    const { device, part } = this;
    device.queue.writeBuffer(this.pass, 0, Float32Array.of(hour));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.decoder);
    pass.setBindGroup(0, this.decoderGroup);
    pass.dispatchWorkgroups(Math.ceil(part.width / 8), Math.ceil(part.height / 8));
    pass.end();
    device.queue.submit([encoder.finish()]);
    this.isBusy = true;
    const done = () => (this.isBusy = false);
    device.queue.onSubmittedWorkDone().then(done, done); // what a lost device does is onlost's business
  }

  async read(texels) {
    const { device } = this;
    const size = 16 * texels.length;
    const buffer = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    const encoder = device.createCommandEncoder();
    texels.forEach(([x, y], k) => {
      encoder.copyTextureToBuffer({ texture: this.frame, origin: [x, y] }, { buffer, offset: 16 * k }, [1, 1]);
    });
    device.queue.submit([encoder.finish()]);
    await buffer.mapAsync(GPUMapMode.READ);
    const colours = new Float32Array(buffer.getMappedRange()).filter((_, k) => k % 4 < 3);
    buffer.destroy();
    return colours;
  }

  setTruth(rgba) {
    const { width, height } = this.part;
    this.device.queue.writeTexture({ texture: this.truth }, rgba, { bytesPerRow: 4 * width }, [width, height]);
  }

  draw(view) {
    const { device } = this;
    const values = new Float32Array(28);
    const integers = new Int32Array(values.buffer);
    view.panels.forEach(({ kind, left, top, width, height }, k) => {
      values.set([left, top, width, height], 4 * k);
      integers[12 + k] = PANELS.indexOf(kind);
    });
    integers[15] = view.panels.length;
    values.set([this.part.width, this.part.height, view.panX, view.panY], 16);
    values.set([view.zoom, view.scale, view.truthScale, view.errorScale], 20);
    integers.set([view.bilinear, this.bundle.isRadiance, view.exact, TONES.indexOf(view.tone)], 24);
    device.queue.writeBuffer(this.view, 0, values);
    const encoder = device.createCommandEncoder();
    const target = { view: this.context.getCurrentTexture().createView(), loadOp: "clear", storeOp: "store" };
    const pass = encoder.beginRenderPass({ colorAttachments: [target] });
    pass.setPipeline(this.screen);
    pass.setBindGroup(0, this.screenGroup);
    pass.draw(3);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  release() {
    this.onlost = null;
    this.device.destroy();
  }
}
