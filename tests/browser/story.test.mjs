// CH-02 CH-03 CH-04 CONV-01 CONV-04 CONV-06 PRES-01 SEC-01: what a newcomer sees, in a browser.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

import { deskOf as openDesk, openBrowser, phoneOf as openPhone, startWorld } from "./world.mjs";

const shots = resolve(import.meta.dirname, "../../target/screenshots");
let world;
let browser;

before(async () => {
  mkdirSync(shots, { recursive: true });
  world = await startWorld();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await world?.stop();
});

const shoot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

const deskOf = (agent) => openDesk(browser, world, agent);
const phoneOf = (number) => openPhone(browser, world, number);

test("a text is answered in the console, through all three providers", async () => {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 } });
  context.setDefaultTimeout(20_000);
  const phone = await context.newPage();
  const problems = [];
  await phone.goto(world.phone);
  const desk = await context.newPage();
  desk.on("pageerror", (error) => problems.push(String(error)));
  desk.on("console", (line) => line.type() === "error" && problems.push(line.text()));
  await desk.goto(world.signIn);
  await desk.getByRole("button", { name: "Sign in as Kim" }).click();
  await desk.getByText("You're ready").waitFor();
  assert.equal(await desk.getByTestId("presence").innerText(), "Online");
  await shoot(desk, "1-ready");

  for (const provider of ["telesign", "twilio", "acs"]) {
    const question = `Hello through ${provider}! ☎`;
    const answer = `Hi, this is Kim on ${provider}.`;
    await phone.locator("#provider").selectOption(provider);
    await phone.locator("#text").fill(question);
    await phone.getByRole("button", { name: "Send" }).click();

    await desk.getByRole("button", { name: "Accept" }).waitFor();
    const left = Number(await desk.getByTestId("countdown").innerText());
    assert.ok(left > 20 && left <= 30, `countdown at ${left}`);
    if (provider === "telesign") await shoot(desk, "2-offer");
    await desk.getByRole("button", { name: "Accept" }).click();
    await desk.getByTestId("transcript").getByText(question).waitFor();

    await desk.getByText("Internal note", { exact: true }).first().click();
    await desk.getByLabel("Internal note", { exact: true }).last().fill(`VIP? (${provider})`);
    await desk.getByRole("button", { name: "Add note" }).click();
    await desk.getByTestId("transcript").getByText(`VIP? (${provider})`).waitFor();
    await desk.getByText("Reply", { exact: true }).first().click();
    await desk.getByPlaceholder("Write a reply").fill(answer);
    await desk.getByPlaceholder("Write a reply").press("Enter");
    await desk.getByTestId("delivery").getByText("delivered").waitFor();
    await phone.locator(".them", { hasText: answer }).waitFor();
    assert.equal(await phone.getByText("VIP?").count(), 0, "notes stay inside");
    if (provider === "telesign") {
      await shoot(desk, "3-answered");
      await shoot(phone, "4-phone");
    }
  }

  // A reload finds all open work with its history.
  await desk.reload();
  await desk.getByTestId("conversation").nth(2).waitFor();
  assert.equal(await desk.getByTestId("load").innerText(), "3 of 5");
  await desk.getByTestId("conversation").first().click();
  await desk.getByTestId("message").nth(2).waitFor();

  await desk.getByRole("button", { name: "End", exact: true }).click();
  await desk.getByRole("button", { name: "Finish wrap-up" }).waitFor();
  await shoot(desk, "5-wrap-up");
  await desk.getByRole("button", { name: "Finish wrap-up" }).click();
  await desk.getByText("2 of 5").waitFor();

  await desk.getByTestId("presence").click();
  await desk.getByRole("menuitem", { name: "Away" }).click();
  await desk.getByTestId("presence").getByText("Away").waitFor();
  await desk.getByRole("button", { name: "Sign out" }).click();
  await desk.getByRole("button", { name: "Sign in" }).waitFor();
  await shoot(desk, "6-signed-out");
  const again = await desk.request.get(world.signIn);
  assert.equal(again.status(), 410, "a sign-in link works once");
  const expected = (line) => line.includes("401");
  assert.deepEqual(problems.filter((line) => !expected(line)), []);
});

// CONV-03 CONV-07 CONV-08 PRES-01 ROUTE-14 ROUTE-15: two colleagues, a supervisor and one customer.
test("a conversation is explained, advised on and handed over", async () => {
  const { write } = await phoneOf("+14255550177");
  const kim = await deskOf("kim");
  await kim.getByTestId("presence").click();
  await kim.getByRole("menuitem", { name: "Lunch" }).click();
  await kim.getByTestId("presence").getByText("Lunch").waitFor();
  await write("I want my money back");
  // Nobody is free, so it waits; who is at lunch may still take it by hand.
  await kim.getByTestId("waiting").getByText("1").waitFor();
  await kim.getByText("Waiting in your queues").click();
  await kim.getByRole("button", { name: "Take", exact: true }).waitFor();
  await kim.waitForTimeout(300);
  await shoot(kim, "7-waiting");
  await kim.getByRole("button", { name: "Take", exact: true }).click();
  await kim.getByTestId("transcript").getByText("I want my money back").waitFor();

  await kim.getByRole("button", { name: "Why?" }).click();
  const told = kim.getByTestId("why");
  await told.getByText('the rule "money back" matched').waitFor();
  await told.getByText("Kim Park: presence is away; the workstream allows online").waitFor();
  await told.getByText("kim took it by hand").waitFor();
  await kim.waitForTimeout(300);
  await shoot(kim, "8-why");
  await kim.keyboard.press("Escape");

  const lee = await deskOf("lee");
  await kim.getByRole("button", { name: "Ask for advice" }).click();
  await kim.getByRole("menuitem", { name: /Lee Santos/ }).click();
  await lee.getByText("kim asks for advice").waitFor();
  await shoot(lee, "9-consult");
  await lee.getByRole("button", { name: "Accept" }).click();
  await lee.getByText("You advise kim").waitFor();
  await lee.getByLabel("Internal note", { exact: true }).last().fill("Offer a voucher first.");
  await lee.getByRole("button", { name: "Add note" }).click();
  await kim.getByTestId("transcript").getByText("Offer a voucher first.").waitFor();
  await shoot(kim, "10-advised");

  await kim.getByRole("button", { name: "Transfer" }).click();
  await kim.getByRole("menuitem", { name: /Lee Santos/ }).click();
  await kim.getByText("Choose a conversation.").waitFor();
  await lee.getByRole("button", { name: "End", exact: true }).click();
  await lee.getByLabel("How it ended").first().click();
  await lee.getByRole("option", { name: "solved", exact: true }).click();
  await lee.getByLabel("What it was about").fill("A voucher did it.");
  await shoot(lee, "11-wrap-up");
  await lee.getByRole("button", { name: "Finish wrap-up" }).click();
  await lee.getByText("No conversations").waitFor();

  // One that nobody takes is ended by a supervisor, who is asked first.
  await lee.getByTestId("presence").click();
  await lee.getByRole("menuitem", { name: "Lunch" }).click();
  await write("Hello again?");
  const sam = await deskOf("sam");
  await sam.getByRole("button", { name: "All open work" }).click();
  const stuck = sam.getByTestId("all-open").getByRole("row", { name: /555/ }).filter({ hasText: "with nobody yet" });
  await stuck.getByRole("button", { name: "End", exact: true }).click();
  await sam.getByText("End this conversation?").waitFor();
  await sam.waitForTimeout(300);
  await shoot(sam, "12-end-what-is-stuck");
  await sam.getByRole("button", { name: "Keep it" }).click();
  await stuck.waitFor();
  await stuck.getByRole("button", { name: "End", exact: true }).click();
  await sam.getByRole("button", { name: "End it" }).click();
  await stuck.waitFor({ state: "detached" });
});

// CAP-02 CONV-08 PRES-08 ROUTE-15: the customer is faster than the wrap-up; others look on.
test("a wrap-up that was cut short is finished, and others read along and ask why not", async () => {
  const { phone, write } = await phoneOf("+14255550188");
  const kim = await deskOf("kim");
  await kim.getByTestId("presence").waitFor();
  // The story before left Kim at lunch; nobody else of support is there.
  if ((await kim.getByTestId("presence").innerText()) !== "Online") {
    await kim.getByTestId("presence").click();
    await kim.getByRole("menuitem", { name: "Online" }).click();
  }
  await write("Is it open today?");
  await kim.getByRole("button", { name: "Accept" }).click();
  await kim.getByTestId("transcript").getByText("Is it open today?").waitFor();
  await kim.getByRole("button", { name: "End", exact: true }).click();
  await kim.getByText("The conversation has ended").waitFor();
  await write("And tomorrow?");
  await kim.getByText("How did the part before end?").waitFor();
  await kim.getByTestId("conversation").getByText("wrap-up to finish").waitFor();
  assert.equal(await kim.getByRole("button", { name: "Finish wrap-up" }).count(), 1, "one form");
  await shoot(kim, "13-wrap-up-cut-short");
  await kim.getByLabel("Reply", { exact: true }).last().fill("Yes, from nine.");
  await kim.getByRole("button", { name: "Send" }).click();
  await phone.locator(".them", { hasText: "Yes, from nine." }).waitFor();
  await kim.getByLabel("What it was about").fill("Opening hours of today.");
  await kim.getByRole("button", { name: "Finish wrap-up" }).click();
  await kim.getByTestId("summary").getByText("Opening hours of today.").waitFor();
  await kim.getByText("How did the part before end?").waitFor({ state: "detached" });
  await kim.getByTestId("transcript").getByText("And tomorrow?").waitFor();

  // A supervisor reads along and asks why it isn't somebody else's.
  const sam = await deskOf("sam");
  await sam.getByRole("button", { name: "All open work" }).click();
  const row = sam.getByTestId("all-open").getByRole("row", { name: /0188/ });
  await row.getByRole("button", { name: "Why?" }).click();
  await sam.getByLabel("Why not with").first().click();
  await sam.getByRole("option", { name: "Lee Santos" }).click();
  await sam.getByTestId("why-not").getByText("Lee Santos isn't a member of support").waitFor();
  await sam.waitForTimeout(300);
  await shoot(sam, "14-why-not");

  // Somebody light takes nothing, reads, and whispers.
  const ada = await deskOf("ada");
  await ada.getByText("read along and write notes").waitFor();
  assert.equal(await ada.getByTestId("presence").count(), 0, "no status");
  await ada.getByRole("button", { name: "All open work" }).click();
  const same = ada.getByTestId("all-open").getByRole("row", { name: /0188/ });
  assert.equal(await same.getByRole("button", { name: "Take over" }).count(), 0);
  await same.getByRole("button", { name: "Read" }).click();
  const reading = ada.getByTestId("read-along");
  await reading.getByText("Yes, from nine.").waitFor();
  await reading.getByLabel("Internal note", { exact: true }).last().fill("Closed on Sunday!");
  await ada.waitForTimeout(300);
  await shoot(ada, "15-reading-along");
  await reading.getByRole("button", { name: "Add note" }).click();
  await kim.getByTestId("transcript").getByText("Closed on Sunday!").waitFor();
  assert.equal(await phone.getByText("Closed on Sunday!").count(), 0, "customers never see it");
});
