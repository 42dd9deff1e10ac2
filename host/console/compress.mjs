// Beside each file that compresses well stands what it is compressed to: once, here, and as well as it
// goes, instead of for every visitor.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
const folder = join(import.meta.dirname, "dist", "assets");
let [plain, small] = [0, 0];
for (const name of readdirSync(folder).filter((name) => /\.(js|css|svg)$/.test(name))) {
  const path = join(folder, name);
  const bytes = readFileSync(path);
  const brotli = brotliCompressSync(bytes, quality);
  writeFileSync(`${path}.br`, brotli);
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  plain += bytes.length;
  small += brotli.length;
}
console.log(`compressed: ${plain >> 10} KB to ${small >> 10} KB`);
