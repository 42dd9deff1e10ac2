// SEC-04: what is kept of a customer is taken out and erased in the console, by those who may.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { deskOf, openBrowser, phoneOf, startWorld } from "./world.mjs";

let world;
let browser;

before(async () => {
  world = await startWorld();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await world?.stop();
});

test("a customer's data is taken out, and erased once nobody works on it", async () => {
  const desk = await deskOf(browser, world, "kim");
  const customer = await phoneOf(browser, world, "+14255550177");
  await customer.write("my secret is a zebra");
  await desk.getByRole("button", { name: "Accept" }).click();
  await desk.getByTestId("conversation").first().click();
  assert.equal(await desk.getByRole("button", { name: "Customer's data" }).count(), 0, "kim may not");

  const root = await deskOf(browser, world, "root");
  await root.getByRole("button", { name: "Customer's data" }).click();
  const dialog = root.getByTestId("customer-data");
  const erase = dialog.getByRole("button", { name: "Erase…" });
  assert.ok(await erase.isDisabled(), "of nobody");
  await dialog.getByLabel("Address").fill("+14255550177");
  const download = root.waitForEvent("download");
  await dialog.getByText("Take out as a file").click();
  const file = readFileSync(await (await download).path(), "utf8");
  assert.match(file, /my secret is a zebra/);

  await erase.click();
  await dialog.getByRole("button", { name: "Keep it" }).click();
  await erase.click();
  await dialog.getByRole("button", { name: "Erase for good" }).click();
  await dialog.getByText("is open: end first").waitFor();

  await desk.getByRole("button", { name: "End", exact: true }).click();
  await desk.getByRole("button", { name: "Finish wrap-up" }).click();
  await desk.getByTestId("conversation").waitFor({ state: "detached" });
  await erase.click();
  await dialog.getByRole("button", { name: "Erase for good" }).click();
  await dialog.getByText("1 conversations erased").waitFor();
  // Longer than a refresh.
  await root.waitForTimeout(6_000);
  assert.ok(await dialog.getByText("1 conversations erased").isVisible());
  for (const width of [1200, 800, 390]) {
    await root.setViewportSize({ width, height: 760 });
    const box = await dialog.boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= width, `${width}: ${JSON.stringify(box)}`);
  }
});
