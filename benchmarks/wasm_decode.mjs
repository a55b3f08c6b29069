// The decoder of the viewer, for decode_engines.py: node wasm_decode.mjs DECODER BUNDLE.js FILE HOUR POINTS
//
// POINTS holds float32 pairs in [0, 1]. Each line on stdin, "frame" or "texels", is answered by the milliseconds of
// processor time that decoding a frame or the points took.
import fs from "node:fs";
import readline from "node:readline";
import vm from "node:vm";

const [decoder, source, file, hour, points] = process.argv.slice(2);
const Bundle = vm.runInThisContext(`${fs.readFileSync(source, "utf8")}; Bundle`);
const module = new WebAssembly.Module(fs.readFileSync(decoder));
const bundle = new Bundle(module, new Uint8Array(fs.readFileSync(file)), "day");
const uv = new Float32Array(new Uint8Array(fs.readFileSync(points)).buffer);
const ways = {
  frame: () => bundle.frame(0, Number(hour)),
  texels: () => bundle.sample(0, uv, Number(hour)),
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const started = process.cpuUsage();
  ways[line]();
  const { user, system } = process.cpuUsage(started);
  console.log((user + system) / 1e3);
});
