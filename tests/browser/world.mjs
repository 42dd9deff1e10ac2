// The sample deployment, started as `make run` starts it, on a journal of its own.

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const root = resolve(import.meta.dirname, "../..");

/** A port that nobody listens on: a host that somebody runs beside the tests keeps its own. */
function freePort() {
  return new Promise((found, failed) => {
    const server = createServer();
    server.on("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

export function openBrowser() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}

/** Somebody's desk, in a browser of their own. `prepare` is given the page before it loads anything. */
export async function deskOf(browser, world, agent, prepare = () => {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 } });
  context.setDefaultTimeout(20_000);
  const opened = await context.newPage();
  await prepare(opened);
  await opened.goto(await world.link(agent));
  await opened.getByRole("button", { name: /^Sign in as/ }).click();
  await opened.getByRole("button", { name: "Sign out" }).waitFor();
  return opened;
}

/** The phone page as the phone of a number. */
export async function phoneOf(browser, world, number) {
  const phone = await (await browser.newContext()).newPage();
  await phone.goto(world.phone);
  await phone.locator("#from").fill(number);
  await phone.locator("#from").press("Tab");
  const write = async (text) => {
    await phone.locator("#text").fill(text);
    await phone.getByRole("button", { name: "Send" }).click();
  };
  return { phone, write };
}

export async function startWorld() {
  const ports = await Promise.all(Array.from({ length: 5 }, freePort));
  const replaced = (text) =>
    ["8080", "9100", "9101", "9102", "9103"].reduce(
      (text, sample, n) => text.replaceAll(`127.0.0.1:${sample}`, `127.0.0.1:${ports[n]}`),
      text,
    );
  const folder = mkdtempSync(join(tmpdir(), "cordboard-browser-"));
  cpSync(join(root, "config"), folder, { recursive: true });
  const main = join(folder, "cordboard.ron");
  const text = replaced(readFileSync(main, "utf8"))
    .replace('"../data"', '"data"')
    .replace('"../target/debug"', JSON.stringify(join(root, "target/debug")));
  writeFileSync(main, text);
  const channels = join(folder, "channels.ron");
  writeFileSync(channels, replaced(readFileSync(channels, "utf8")));
  // Somebody who takes no work (PRES-08), and an administrator.
  const more = '(id: "ada", name: "Ada Reed", light: true), (id: "root", name: "Rae Root", role: administrator)';
  writeFileSync(join(folder, "more.ron"), `(agents: [${more}])`);

  const env = { ...process.env };
  for (const line of readFileSync(join(folder, "emulated.env"), "utf8").split("\n")) {
    const at = line.indexOf("=");
    if (at > 0 && !line.startsWith("#")) env[line.slice(0, at)] = line.slice(at + 1);
  }
  const [host_port, ...others] = ports.map(String);
  const address = `http://127.0.0.1:${host_port}`;
  const emulators = run("emulators", ["--host", address, "--ports", ...others], env);
  const phone = await emulators.sees(/phone\s+(http:\S+)/);
  const host = run("cordboard", ["run", folder, "--strict", "--sign-in", "kim"], env);
  const signIn = await host.sees(/sign in\s+(http:\S+)/);
  return {
    phone,
    signIn,
    /** A one-time sign-in link for somebody else. */
    link: (agent) => run("cordboard", ["agent", "link", folder, "--id", agent], env).sees(/(http:\S+)/),
    stop: async () => {
      await host.stop("SIGTERM");
      await emulators.stop("SIGINT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function run(name, args, env) {
  const child = spawn(join(root, "target/debug", name), args, { env });
  let output = "";
  const look = new Set();
  const take = (chunk) => {
    output += chunk;
    for (const one of look) one();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const ended = new Promise((done) => child.on("exit", done));
  return {
    /** The first group of the pattern, once it is printed. */
    sees: (pattern) =>
      new Promise((found, failed) => {
        const one = () => {
          const match = pattern.exec(output);
          if (match) {
            look.delete(one);
            found(match[1]);
          }
        };
        look.add(one);
        one();
        child.on("exit", () => failed(new Error(`${name} ended:\n${output}`)));
      }),
    stop: async (signal) => {
      child.kill(signal);
      await ended;
    },
  };
}
