// Opens a report as a user would: node report.mjs REPORT SCREENSHOTS. Prints one JSON object with what was found.
import { chromium } from "playwright-core";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [file, shots] = process.argv.slice(2);
const options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: options });
const page = await browser.newPage({ viewport: { width: 1360, height: 900 }, colorScheme: "light" });
const errors = [];
const asked = [];
page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
page.on("pageerror", (error) => errors.push(String(error)));
page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) asked.push(request.url()); });

const begun = Date.now();
await page.goto(pathToFileURL(file).href);
await page.waitForSelector("body[data-ready=yes]");
await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const opened = Date.now() - begun;

const found = { errors, asked, opened_ms: opened, tables: await page.locator("table").count(), charts: await page.locator(".chart").count() };
await page.screenshot({ path: path.join(shots, "top.png") });
const chart = page.locator(".chart").first();
await chart.scrollIntoViewIfNeeded();
await page.waitForSelector(".chart[data-drawn=yes] .main-svg");
// A chart reacts: its legend hides a series, dragging zooms, hovering tells.
const lines = () => chart.locator(".scatterlayer .trace").evaluateAll((traces) => traces.filter((trace) => getComputedStyle(trace).opacity > 0.6 && trace.isConnected).length);
found.series = await lines();
const range = () => chart.evaluate((element) => element.layout.xaxis.range.map(Number));
const before = await range();
const box = await chart.locator(".nsewdrag").first().boundingBox();
await page.mouse.move(box.x + box.width * 0.35, box.y + box.height * 0.45);
await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.5, { steps: 8 });
await page.waitForSelector(".hoverlayer text", { timeout: 3000 }).catch(() => {});
found.hover = await chart.locator(".hoverlayer *").count();
await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.3);
await page.mouse.down();
await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.7, { steps: 5 });
await page.mouse.up();
await page.waitForTimeout(400);
const after = await range();
found.zoomed = after[1] - after[0] < 0.6 * (before[1] - before[0]);
await page.mouse.dblclick(box.x + box.width * 0.5, box.y + box.height * 0.5);
if (found.series > 1) {
  await chart.locator(".legendtoggle").first().click();
  await page.waitForTimeout(700);
  found.hidden = await chart.evaluate((element) => element.data.filter((trace) => trace.visible === "legendonly").length);
}
await page.screenshot({ path: path.join(shots, "charts.png") });
// The fabric changes with the slider.
const canvas = page.locator(".fabric canvas").first();
if (await canvas.count()) {
  await canvas.scrollIntoViewIfNeeded();
  const picture = () => canvas.evaluate((element) => element.toDataURL());
  const slider = page.locator(".fabric input[type=range]").first();
  await slider.evaluate((element) => { element.value = Math.floor(element.max / 3); element.dispatchEvent(new Event("input")); });
  const first = await picture();
  await page.screenshot({ path: path.join(shots, "fabric.png") });
  await slider.evaluate((element) => { element.value = element.max; element.dispatchEvent(new Event("input")); });
  found.moves = first !== (await picture());
  found.time = await page.locator(".fabric .time").first().textContent();
}
// A slow flow opens.
const flow = page.locator(".slowest tr.opens").first();
if (await flow.count()) {
  await flow.scrollIntoViewIfNeeded();
  await flow.click();
  found.explanation = await page.locator(".slowest tr.explanation:visible pre").first().textContent();
  found.causes = await flow.locator(".causes span").count();
  await page.screenshot({ path: path.join(shots, "slowest.png") });
}
// Light and dark.
const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await background();
await page.locator("#theme").click();
await page.waitForTimeout(400);
found.dark = light !== (await background());
await page.evaluate(() => window.scrollTo(0, 0));
await page.screenshot({ path: path.join(shots, "dark.png") });
await page.screenshot({ path: path.join(shots, "whole.png"), fullPage: true });
await browser.close();
console.log(JSON.stringify(found));
