// Builds ../static from the sources beside this file: `make page`, or `npm ci && npm run build`.
import { build, version } from "esbuild";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "..", "static");

/** The sha256 of the names and bytes of all sources: tests/test_page.py computes it, too. */
function sourcesDigest() {
  const names = readdirSync(here, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name).slice(here.length + 1))
    .filter((name) => !name.startsWith("node_modules/"))
    .sort();
  const digest = createHash("sha256");
  for (const name of names) {
    const bytes = readFileSync(join(here, name));
    digest.update(`${name}\n${bytes.length}\n`).update(bytes);
  }
  return digest.digest("hex");
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
await build({
  entryPoints: { app: join(here, "src/main.jsx"), style: join(here, "style.css") },
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"], // the first ones with light-dark() of CSS
  jsx: "automatic",
  jsxImportSource: "preact",
  banner: { js: `/* sources sha256:${sourcesDigest()}, esbuild ${version} */` },
  logLevel: "warning",
});
for (const name of ["index.html", "theme.js", "icon.svg"]) cpSync(join(here, name), join(target, name));
const licence = readFileSync(join(here, "node_modules/preact/LICENSE"), "utf8");
writeFileSync(join(target, "LICENSES.txt"), `app.js contains Preact (https://preactjs.com):\n\n${licence}`);
