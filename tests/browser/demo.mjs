// The pages of the gateway in a real browser: `node demo.mjs http://127.0.0.1:8710` against a fresh
// `factum up --no-sample`. Needs playwright-core (npm) and a Chromium, which CHROMIUM names.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const base = process.argv[2];
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const number = (page) => page.textContent("#number");
const log = (page) => page.textContent("#log");
const shows = (page, wanted) =>
  page.waitForFunction((wanted) => document.getElementById("number").textContent === wanted, wanted);
const settled = (page) => page.waitForFunction(() => document.getElementById("number").className === "");

async function open() {
  const page = await browser.newPage();
  page.on("pageerror", (error) => assert.fail(`the page failed: ${error.message}`));
  await page.goto(`${base}/demo`);
  await page.waitForFunction(() => document.getElementById("number").textContent !== "?");
  return page;
}

// Holds the page's commands back until the returned function is called.
async function hold(page) {
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/commands/*", async (route) => { await held; await route.continue(); });
  return async () => { release(); };
}

const [one, two] = [await open(), await open()];
assert.deepEqual([await number(one), await number(two)], ["0", "0"]);

// Shown at once, to nobody else, and confirmed by its version.
let release = await hold(one);
await one.fill("#amount", "250");
await one.click("#up");
assert.equal(await number(one), "250");
assert.equal(await one.getAttribute("#number", "class"), "pending");
assert.equal(await number(two), "0");
await release();
await settled(one);
await shows(two, "250");
assert.equal(await one.textContent("#version"), "1");

// Refused: taken back, with the domain's reason.
await two.fill("#amount", "1000000");
await two.click("#down");
await two.waitForFunction(() => document.getElementById("log").textContent.includes("taken back"));
assert.equal(await number(two), "250");
assert.match(await log(two), /Insufficient/);

// Somebody else is faster: the version is another one, and the command is taken back.
await one.unroute("**/commands/*");
release = await hold(two);
await two.fill("#amount", "7");
await two.click("#up");
assert.equal(await number(two), "257");
await one.fill("#amount", "1");
await one.click("#up");
await settled(one);
await shows(one, "251");
await release();
await settled(two);
await shows(two, "251");
assert.match(await log(two), /expected version 1, the actual one is 2/);

// And the next good command is accepted.
await two.unroute("**/commands/*");
await two.click("#up");
await settled(two);
await Promise.all([shows(one, "258"), shows(two, "258")]);

// The description's page has a form for each operation.
const docs = await browser.newPage();
await docs.goto(`${base}/docs`);
await docs.waitForSelector("details");
await docs.locator("summary", { hasText: "commands/Deposit" }).first().click();
const form = docs.locator("details[open]");
assert.deepEqual(JSON.parse(await form.locator("textarea").inputValue()), { cents: 1 });
// The bounds of a `long` are no doubles.
assert.match(await form.textContent(), /"maximum": 9223372036854775807,/);
await form.locator("input").first().fill("anna");
await form.locator("button").click();
await docs.waitForFunction(() => document.querySelector("details[open] pre").textContent.startsWith("200"));
await shows(one, "259");

await browser.close();
console.log("the pages do what they say");
