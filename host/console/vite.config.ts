import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// In development, `npm run dev` serves the pages and a running host answers for the rest.
const host = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: { chunkSizeWarningLimit: 800 },
  server: { proxy: { "/api": { target: host, ws: true }, "/sign-in": host } },
});
