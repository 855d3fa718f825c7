// Builds the page into control_plane/console/assets, and writes down what it was built from (SOURCES):
// a test compares that with the sources, so that nobody forgets to build. `--tests` bundles the unit tests.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const ASSETS = join(HERE, "../control_plane/console/assets");
const OPTIONS = {
  absWorkingDir: HERE,
  bundle: true,
  charset: "utf8",
  format: "esm",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  target: "es2022",
};

if (process.argv.includes("--tests")) {
  const names = readdirSync(join(HERE, "tests")).filter((name) => name.endsWith(".test.ts"));
  const entry = names.map((name) => `import "./tests/${name}";`).join("\n");
  await build({
    ...OPTIONS,
    stdin: { contents: entry, resolveDir: HERE },
    outfile: "out/tests.mjs",
    platform: "node",
    external: ["node:*"],
  });
} else {
  mkdirSync(ASSETS, { recursive: true });
  await build({
    ...OPTIONS,
    entryPoints: ["src/console.tsx", "src/console.css"],
    outdir: ASSETS,
    minify: true,
  });
  for (const name of ["index.html", "icon.svg"]) copyFileSync(join(HERE, "src", name), join(ASSETS, name));
  const paths = readdirSync(join(HERE, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(HERE.length + 1));
  const lines = [...paths, "package-lock.json", "build.mjs"].sort().map((path) => {
    const digest = createHash("sha256").update(readFileSync(join(HERE, path))).digest("hex");
    return `${digest}  ${path}\n`;
  });
  writeFileSync(join(ASSETS, "SOURCES"), lines.join(""));
}
