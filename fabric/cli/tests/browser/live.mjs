// Uses the page of a live session as a user would: node live.mjs URL TOKEN SCREENSHOTS. Prints one JSON object with what was found.
import { chromium } from "playwright-core";
import path from "node:path";

const [url, token, shots] = process.argv.slice(2);
const options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: options });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
const errors = [];
const asked = [];
// A refused request is shown on the console by the browser; it is what the page is to show.
page.on("console", (message) => { if (message.type() === "error" && !/status of 40[01]/.test(message.text())) errors.push(message.text()); });
page.on("pageerror", (error) => errors.push(String(error)));
page.on("request", (request) => { if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) asked.push(request.url()); });

await page.goto(url);
await page.waitForSelector("body[data-ready=yes]");
const found = { errors, asked, links: await page.locator("#drawing .link").count(), nodes: await page.locator("#drawing .node").count() };
const loads = () => page.locator("#drawing .link").evaluateAll((links) => links.map((link) => link.dataset.load).join(" "));
const first = await loads();
await page.waitForFunction((before) => [...document.querySelectorAll("#drawing .link")].map((link) => link.dataset.load).join(" ") !== before, first);
await page.waitForTimeout(1500);
found.moves = (await loads()).split(" ").some((load) => Number(load) > 0.02);
await page.screenshot({ path: path.join(shots, "wide.png") });

// A link is chosen by a click in its middle, and taken down; the token is asked for, and a wrong one again.
const id = await page.locator("#drawing .link", { has: page.locator("title", { hasText: "leaf:0 – spine:1" }) }).getAttribute("data-link");
const link = page.locator(`#drawing .link[data-link="${id}"]`);
const spot = await link.locator(".hit").evaluate((line) => {
  const at = line.getPointAtLength(line.getTotalLength() * 0.3).matrixTransform(line.getScreenCTM());
  return [at.x, at.y];
});
await page.mouse.click(...spot);
await page.waitForSelector("#panel:not([hidden])");
found.name = await page.locator("#panel-name").textContent();
await page.locator("#turn").click();
await page.locator("#ask[open]").waitFor();
await page.locator("#token").fill("not-the-token");
await page.locator("#token-ok").click();
await page.waitForFunction(() => document.getElementById("ask").open && document.getElementById("token").value === "");
found.asks = true;
await page.locator("#token").fill(token);
await page.locator("#token-ok").click();
await page.waitForSelector(`#drawing .link[data-link="${id}"][data-down="true"]`);
found.down = (await page.locator("#turn").textContent()) === "Bring up" || (await page.waitForSelector("#turn[data-down=true]")) !== null;
found.drawn_down = (await link.locator(".way.down").count()) === 2 && (await page.locator("#state").textContent()).includes("1 down");
await page.waitForTimeout(400);
await page.screenshot({ path: path.join(shots, "down.png") });
await page.locator("#turn").click();
await page.waitForSelector(`#drawing .link[data-link="${id}"][data-down="false"]`);
found.up = (await link.locator(".way.down").count()) === 0;

// Another rate, and one that is not possible.
await page.locator("#change [name=rate]").fill("250");
await page.locator("#change button").click();
await page.waitForFunction(() => document.getElementById("ways").textContent.includes("250 Mb/s"));
found.slower = true;
await page.locator("#change [name=rate]").fill("9000");
await page.locator("#change button").click();
await page.waitForSelector("#answer.bad");
found.refused = await page.locator("#answer").textContent();

// A switch fails and comes back.
await page.locator('#drawing [data-node="spine:0"]').click();
await page.locator("#fail").click();
await page.waitForFunction(() => document.getElementById("state").textContent.includes("4 down"));
found.failed = true;
await page.locator("#heal").click();
await page.waitForFunction(() => !document.getElementById("state").textContent.includes("down"));
found.back = true;
await page.locator("#pause").click();
await page.waitForSelector("#state[data-state=paused]");
const stands = await page.locator("#emulated").textContent();
await page.waitForTimeout(700);
found.paused = stands === (await page.locator("#emulated").textContent());
await page.locator("#pause").click();
await page.waitForSelector("#state[data-state=running]");

// Dark and narrow.
const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await background();
await page.emulateMedia({ colorScheme: "dark" });
found.dark = light !== (await background());
await page.waitForTimeout(400);
await page.screenshot({ path: path.join(shots, "dark.png") });
await page.setViewportSize({ width: 400, height: 850 });
await page.waitForTimeout(400);
found.fits = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
await page.screenshot({ path: path.join(shots, "narrow.png"), fullPage: true });
await browser.close();
console.log(JSON.stringify(found));
