// The sample deployment, started as `make run` starts it, on a journal of its own.

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

export async function startWorld() {
  const folder = mkdtempSync(join(tmpdir(), "cordboard-browser-"));
  cpSync(join(root, "config"), folder, { recursive: true });
  const main = join(folder, "cordboard.ron");
  const text = readFileSync(main, "utf8")
    .replace('"../data"', '"data"')
    .replace('"../target/debug"', JSON.stringify(join(root, "target/debug")));
  writeFileSync(main, text);
  // Somebody who takes no work (PRES-08).
  writeFileSync(join(folder, "light.ron"), '(agents: [(id: "ada", name: "Ada Reed", light: true)])');

  const env = { ...process.env };
  for (const line of readFileSync(join(folder, "emulated.env"), "utf8").split("\n")) {
    const at = line.indexOf("=");
    if (at > 0 && !line.startsWith("#")) env[line.slice(0, at)] = line.slice(at + 1);
  }
  const emulators = run("emulators", [], env);
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
