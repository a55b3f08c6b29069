// node wasm.mjs DECODER BUNDLE.js FILE: hours as JSON on stdin, then the frames' floats on stdout, lightmap by lightmap.
import fs from "node:fs";
import vm from "node:vm";

const [decoder, source, file] = process.argv.slice(2);
const Bundle = vm.runInThisContext(`${fs.readFileSync(source, "utf8")}; Bundle`);
const module = new WebAssembly.Module(fs.readFileSync(decoder));
let bundle;
try {
  bundle = new Bundle(module, new Uint8Array(fs.readFileSync(file)), "day");
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
const parts = [];
for (const hour of JSON.parse(fs.readFileSync(0, "utf8")))
  bundle.lightmaps.forEach((_, k) => parts.push(Buffer.from(new Uint8Array(bundle.frame(k, hour).slice().buffer))));
process.stdout.write(Buffer.concat(parts));
