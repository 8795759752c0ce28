import { defineConfig } from "vite";

// Nothing that is built may depend on when, where or by whom: CI builds it again and
// compares. A page of this size is one script and one style.
export default defineConfig({
  base: "/console/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    sourcemap: false,
  },
  server: { proxy: { "^/(weft\\.v1\\.|readyz|healthz)": { target: "http://127.0.0.1:7480" } } },
});
