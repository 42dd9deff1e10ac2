// CONV-04 CONV-06 CONV-08 CONV-02: nothing that an agent writes is lost, or goes where it shouldn't.

import assert from "node:assert/strict";
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

const reply = (desk) => desk.getByPlaceholder("Write a reply");
const note = (desk) => desk.getByPlaceholder("Write a note for colleagues");
const accept = async (desk) => {
  await desk.getByRole("button", { name: "Accept" }).click();
  await desk.getByTestId("offer").waitFor({ state: "detached" });
};
const open = (desk, n) => desk.getByTestId("conversation").nth(n).click();
/** Longer than a page asks for anything anew. */
const aWhile = (desk) => desk.waitForTimeout(6_000);
const finish = async (desk) => {
  for (let left = await desk.getByTestId("conversation").count(); left > 0; left--) {
    await desk.getByTestId("conversation").first().click();
    await desk.getByRole("button", { name: "End", exact: true }).click();
    await desk.getByRole("button", { name: "Finish wrap-up" }).click();
    await desk.getByTestId("conversation").nth(left - 1).waitFor({ state: "detached" });
  }
};

test("what is written stays with its conversation and its mode", async () => {
  const desk = await deskOf(browser, world, "kim");
  const ann = await phoneOf(browser, world, "+14255550110");
  await ann.write("I am Ann");
  await accept(desk);
  await reply(desk).fill("Dear Ann");
  await desk.getByText("Internal note", { exact: true }).first().click();
  assert.equal(await note(desk).inputValue(), "", "a reply doesn't become a note");
  await note(desk).fill("she is difficult");

  // An offer comes and covers nothing that is needed for writing.
  const bob = await phoneOf(browser, world, "+14255550111");
  await bob.write("I am Bob");
  const offer = await desk.getByTestId("offer").boundingBox();
  const send = await desk.getByRole("button", { name: "Add note" }).boundingBox();
  const isBeside =
    offer.x + offer.width <= send.x || send.x + send.width <= offer.x ||
    offer.y + offer.height <= send.y || send.y + send.height <= offer.y;
  assert.ok(isBeside, `${JSON.stringify(offer)} covers ${JSON.stringify(send)}`);
  await accept(desk);
  await reply(desk).fill("Dear Bob");
  await aWhile(desk);

  const texts = async () => {
    const found = {};
    for (const n of [0, 1]) {
      await open(desk, n);
      const name = await desk.getByTestId("transcript").getByText(/I am/).innerText();
      found[name.trim()] = await desk.locator("textarea:visible").first().inputValue();
    }
    return found;
  };
  assert.deepEqual(await texts(), { "I am Ann": "she is difficult", "I am Bob": "Dear Bob" });
  await desk.reload();
  await desk.getByTestId("conversation").nth(1).waitFor();
  assert.deepEqual(await texts(), { "I am Ann": "she is difficult", "I am Bob": "Dear Bob" });
  const again = await desk.context().newPage();
  await again.goto(new URL("/", desk.url()).href);
  await again.getByTestId("conversation").nth(1).waitFor();
  await again.close();

  // Back to the reply, one Enter: the customer gets the reply and never the note.
  await desk.getByTestId("conversation").filter({ hasText: "Ann" }).click();
  await desk.getByText("Reply", { exact: true }).first().click();
  assert.equal(await reply(desk).inputValue(), "Dear Ann");
  await reply(desk).press("Enter");
  await ann.phone.locator(".them", { hasText: "Dear Ann" }).waitFor();
  assert.equal(await ann.phone.getByText("difficult").count(), 0);
  assert.equal(await reply(desk).inputValue(), "");
  await desk.getByText("Internal note", { exact: true }).first().click();
  assert.equal(await note(desk).inputValue(), "she is difficult", "what wasn't sent is still there");
  await finish(desk);
});

test("two tabs don't undo each other, and what was sent in one isn't unsent in the other", async () => {
  const desk = await deskOf(browser, world, "kim");
  const { phone, write } = await phoneOf(browser, world, "+14255550119");
  await write("two tabs");
  await accept(desk);
  const tab = await desk.context().newPage();
  await tab.goto(desk.url());
  await open(tab, 0);
  await desk.getByText("Internal note", { exact: true }).first().click();
  await note(desk).fill("written in the first");
  await reply(tab).fill("written in the second");
  await desk.reload();
  await open(desk, 0);
  assert.equal(await note(desk).inputValue(), "written in the first");
  await desk.getByText("Reply", { exact: true }).first().click();
  assert.equal(await reply(desk).inputValue(), "written in the second");
  await reply(tab).press("Enter");
  await phone.locator(".them", { hasText: "written in the second" }).waitFor();
  await desk.waitForFunction(() => document.querySelector("textarea")?.value === "");
  await tab.close();
  await finish(desk);
});

test("a long conversation shows its newest part, and what was before when it is asked for", async () => {
  const desk = await deskOf(browser, world, "kim");
  const { phone, write } = await phoneOf(browser, world, "+14255550118");
  await write("the very first");
  await accept(desk);
  await phone.evaluate(async () => {
    for (let n = 2; n <= 130; n++) {
      const provider = document.querySelector("#provider").value;
      const body = JSON.stringify({ provider, from: "+14255550118", text: `message ${n}` });
      await fetch("/api/text", { method: "POST", headers: { "content-type": "application/json" }, body });
    }
  });
  await desk.reload();
  await open(desk, 0);
  const transcript = desk.getByTestId("transcript");
  await transcript.getByText("message 130", { exact: true }).waitFor();
  assert.equal(await transcript.getByTestId("message").count(), 100);
  await desk.getByRole("button", { name: "Show earlier messages" }).click();
  await transcript.getByText("the very first").waitFor();
  assert.equal(await transcript.getByTestId("message").count(), 130);
  assert.equal(await desk.getByRole("button", { name: "Show earlier messages" }).count(), 0);
  // What comes now stands below, and nothing is lost above.
  await write("and the last");
  await transcript.getByText("and the last").waitFor();
  assert.equal(await transcript.getByTestId("message").count(), 131);
  await finish(desk);
});

test("conversations are opened by keyboard", async () => {
  const desk = await deskOf(browser, world, "kim");
  const { write } = await phoneOf(browser, world, "+14255550112");
  await write("by keyboard");
  await accept(desk);
  await desk.reload();
  const entry = desk.getByTestId("conversation").first();
  await entry.waitFor();
  for (let tabs = 0; tabs < 30; tabs++) {
    await desk.keyboard.press("Tab");
    if (await entry.evaluate((element) => element === document.activeElement)) break;
  }
  await desk.keyboard.press("Enter");
  await desk.getByTestId("transcript").getByText("by keyboard").waitFor();
  await finish(desk);
});

test("a reply whose answer was lost and that was edited goes out as well", async () => {
  let drops = false;
  const desk = await deskOf(browser, world, "kim", (page) =>
    page.routeWebSocket(/api\/v1\/live/, (socket) => {
      const host = socket.connectToServer();
      host.onMessage((message) => {
        if (drops && String(message).includes('"type":"answer"')) {
          drops = false;
          host.close();
          socket.close();
        } else {
          socket.send(message);
        }
      });
    }),
  );
  const { phone, write } = await phoneOf(browser, world, "+14255550113");
  await write("which one?");
  await accept(desk);
  drops = true;
  await reply(desk).fill("the red one");
  await reply(desk).press("Enter");
  await desk.getByText("the connection broke; try again").waitFor();
  await phone.locator(".them", { hasText: "the red one" }).waitFor();
  // Untouched, it goes out once; edited, it is another reply.
  await desk.getByTestId("offline").waitFor({ state: "detached" });
  await reply(desk).press("Enter");
  await desk.waitForFunction(() => document.querySelector("textarea").value === "");
  drops = true;
  await reply(desk).fill("or the blue one");
  await reply(desk).press("Enter");
  await desk.getByText("the connection broke; try again").waitFor();
  await desk.getByTestId("offline").waitFor({ state: "detached" });
  await reply(desk).fill("or the green one");
  await reply(desk).press("Enter");
  await phone.locator(".them", { hasText: "or the green one" }).waitFor();
  assert.equal(await phone.locator(".them", { hasText: "the red one" }).count(), 1);
  assert.equal(await phone.locator(".them", { hasText: "or the blue one" }).count(), 1);
  await finish(desk);
});

test("a line that is half dead is noticed, said, and left", async () => {
  let isDead = false;
  let sockets = 0;
  const desk = await deskOf(browser, world, "kim", async (page) => {
    await page.clock.install();
    await page.routeWebSocket(/api\/v1\/live/, (socket) => {
      sockets += 1;
      const host = socket.connectToServer();
      const mine = sockets;
      host.onMessage((message) => {
        if (!isDead || mine > 1) socket.send(message);
      });
    });
  });
  const { write } = await phoneOf(browser, world, "+14255550114");
  await write("are you there?");
  await accept(desk);
  await reply(desk).fill("half a sen");
  isDead = true;
  await desk.clock.fastForward(50_000);
  await desk.waitForTimeout(1500);
  await desk.clock.fastForward(5_000);
  await desk.getByTestId("conversation").first().waitFor();
  await desk.waitForFunction(() => document.querySelector('[data-testid="offline"]') === null);
  assert.ok(sockets > 1, "another line was tried");
  await open(desk, 0);
  assert.equal(await reply(desk).inputValue(), "half a sen");
  await finish(desk);
});

test("whoever loses a conversation is told to whom, and wrap-up stands there once", async () => {
  const kim = await deskOf(browser, world, "kim");
  const { write } = await phoneOf(browser, world, "+14255550115");
  await write("I want the manager");
  await accept(kim);
  await reply(kim).fill("I could do");
  const sam = await deskOf(browser, world, "sam");
  await sam.getByRole("button", { name: "All open work" }).click();
  // Reading along follows what is written, and Escape closes it alone.
  await sam.getByRole("button", { name: "Read", exact: true }).click();
  const along = sam.getByTestId("read-along");
  await along.getByText("I want the manager").waitFor();
  await write("now, please");
  await along.getByText("now, please").waitFor({ timeout: 2500 });
  await sam.keyboard.press("Escape");
  await along.waitFor({ state: "detached" });
  await sam.getByRole("button", { name: "Take over" }).click();
  await kim.getByText(/is with sam now/).waitFor();
  // The conversation is open with whoever took it over.
  await sam.getByTestId("transcript").getByText("I want the manager").waitFor();
  await sam.getByRole("button", { name: "End", exact: true }).click();
  await sam.getByRole("button", { name: "Finish wrap-up" }).waitFor();
  await sam.getByLabel("What it was about").fill("long careful summary");
  await aWhile(sam);
  assert.equal(await sam.getByRole("button", { name: "Finish wrap-up" }).count(), 1);
  await sam.reload();
  await sam.getByTestId("conversation").first().click();
  assert.equal(await sam.getByLabel("What it was about").inputValue(), "long careful summary");
  await sam.getByRole("button", { name: "Finish wrap-up" }).click();
});

test("a note that is being written stays one when the conversation becomes the writer's", async () => {
  const kim = await deskOf(browser, world, "kim");
  const { phone, write } = await phoneOf(browser, world, "+14255550116");
  await write("I want my money back");
  await accept(kim);
  const lee = await deskOf(browser, world, "lee");
  await lee.getByTestId("presence").waitFor();
  await kim.getByRole("button", { name: "Ask for advice" }).click();
  await kim.getByRole("menuitem", { name: /Lee Santos/ }).click();
  await lee.getByRole("button", { name: "Accept" }).click();
  await lee.getByText("You advise kim").waitFor();
  await note(lee).pressSequentially("a known fraud, ");
  await kim.getByRole("button", { name: "Transfer" }).click();
  await kim.getByRole("menuitem", { name: /Lee Santos/ }).click();
  await lee.getByText("You advise kim").waitFor({ state: "detached" });
  await lee.keyboard.type("give them nothing");
  await lee.keyboard.press("Enter");
  await lee.getByTestId("transcript").getByText("a known fraud, give them nothing").waitFor();
  await aWhile(lee);
  assert.equal(await phone.getByText("nothing").count(), 0);
  // Their own hand makes it a reply.
  await lee.getByText("Reply", { exact: true }).click();
  await reply(lee).fill("We look into it");
  await lee.getByRole("button", { name: "Send", exact: true }).click();
  await phone.getByText("We look into it").waitFor();
  await finish(lee);
});

test("what is said of an ending stays with that part, and doesn't end the next one", async () => {
  const desk = await deskOf(browser, world, "kim");
  const { write } = await phoneOf(browser, world, "+14255550121");
  const about = () => desk.getByLabel("What it was about");
  await write("part one");
  await accept(desk);
  await desk.getByRole("button", { name: "End", exact: true }).click();
  await about().pressSequentially("they asked for ");
  await write("one more thing");
  await desk.getByText("How did the part before end?").waitFor();
  // Whoever is typing just then goes on.
  await desk.keyboard.type("a refund");
  assert.equal(await about().inputValue(), "they asked for a refund");
  await desk.reload();
  await open(desk, 0);
  assert.equal(await about().inputValue(), "they asked for a refund");
  await desk.getByRole("button", { name: "Finish wrap-up" }).click();
  await about().waitFor({ state: "detached" });
  await desk.getByRole("button", { name: "End", exact: true }).click();
  assert.equal(await about().inputValue(), "", "the next part is another one");
  await about().fill("of another session");
  // Somebody else ends it, and its customer comes back.
  const sam = await deskOf(browser, world, "sam");
  const ended = await sam.evaluate(async () => {
    const ask = async (path, options) => fetch(`/api/v1/${path}`, options);
    const { csrf } = await (await ask("me")).json();
    const [{ id }] = await (await ask("conversations?all=true")).json();
    return (await ask(`conversations/${id}/end`, { method: "POST", headers: { "x-csrf-token": csrf } })).status;
  });
  assert.equal(ended, 204);
  await desk.getByTestId("conversation").waitFor({ state: "detached" });
  await write("I am back");
  await desk.getByTestId("conversation").or(desk.getByTestId("offer")).first().waitFor();
  if (await desk.getByTestId("offer").count()) await accept(desk);
  await open(desk, 0);
  await desk.getByRole("button", { name: "End", exact: true }).click();
  assert.equal(await about().inputValue(), "");
  await desk.getByRole("button", { name: "Finish wrap-up" }).click();
  await desk.getByTestId("conversation").waitFor({ state: "detached" });
  await sam.context().close();
});

test("a sign-out that doesn't reach the host forgets nothing, and says so", async () => {
  const desk = await deskOf(browser, world, "kim");
  const { write } = await phoneOf(browser, world, "+14255550122");
  await write("hello there");
  await accept(desk);
  await reply(desk).fill("half an answer");
  await desk.route("**/api/v1/sign-out", (route) => route.abort());
  await desk.getByRole("button", { name: "Sign out" }).click();
  await desk.getByText("You aren't signed out").waitFor();
  await desk.reload();
  await open(desk, 0);
  assert.equal(await reply(desk).inputValue(), "half an answer");
  await finish(desk);
  await desk.unroute("**/api/v1/sign-out");
  await desk.getByRole("button", { name: "Sign out" }).click();
  await desk.getByRole("button", { name: "Sign in" }).waitFor();
});

test("a transcript that can't be read is said and read again, and others aren't kept from theirs", async () => {
  const desk = await deskOf(browser, world, "kim");
  const phones = [await phoneOf(browser, world, "+14255550123"), await phoneOf(browser, world, "+14255550124")];
  let fails = 0;
  await desk.route(/\/api\/v1\/conversations\/[0-9a-f-]+$/, (route) =>
    fails++ === 0 ? route.abort() : fails === 2 ? route.fulfill({ status: 503, body: "{}" }) : route.continue(),
  );
  await phones[0].write("first of one");
  await accept(desk);
  await desk.getByText("Reading what was said before").waitFor();
  await phones[1].write("first of another");
  await accept(desk);
  await desk.getByTestId("transcript").getByText("first of another").waitFor();
  await desk.getByTestId("conversation").filter({ hasText: "0123" }).click();
  await desk.getByTestId("transcript").getByText("first of one").waitFor();
  assert.equal(await desk.getByText("Reading what was said before").count(), 0);
  assert.ok(fails >= 3, `${fails} were asked for`);
  await desk.unroute(/\/api\/v1\/conversations\/[0-9a-f-]+$/);
  await finish(desk);
});

test("a page that was left open doesn't go on as somebody else", async () => {
  const kim = await deskOf(browser, world, "kim");
  // In the same browser somebody else signs in.
  const second = await kim.context().newPage();
  await second.goto(await world.link("lee"));
  await second.getByRole("button", { name: /^Sign in as/ }).click();
  await second.getByText("Lee Santos (agent)").waitFor();
  // The session that the browser has no more ends, and the page comes back as whoever that belongs to now.
  await kim.getByText("Lee Santos (agent)").waitFor();
  assert.equal(await kim.getByText("Kim Park (agent)").count(), 0);
});
