// The page of a live session: asks the API a few times a second, draws what it says, and sends it what is clicked.
"use strict";

const EVERY_MS = 250;
const HISTORY = 160;
// More links than this are not drawn: nobody could tell them apart.
const MOST_LINKS = 12000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

const page = { topology: null, links: [], chosen: null, zoom: null, history: {}, before: null, state: "", paths: [] };

// Figures as people read them.
const sized = (value, units) => {
  let place = 0;
  while (value >= 1000 && place < units.length - 1) { value /= 1000; place += 1; }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(value >= 10 ? 1 : 2)} ${units[place]}`;
};
const bits = (value) => sized(value, ["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"]);
const bytes = (value) => sized(value, ["B", "kB", "MB", "GB", "TB"]);
const count = (value) => value.toLocaleString("en");
const time = (us) => (us < 1000 ? `${+us.toFixed(1)} µs` : us < 1e6 ? `${(us / 1e3).toFixed(1)} ms` : us < 6e7 ? `${(us / 1e6).toFixed(1)} s` : `${Math.floor(us / 6e7)} min ${Math.floor((us / 1e6) % 60)} s`);
// Rates are kept as times of bytes, so round ones may be off in the sixth digit.
const round = (value) => +value.toPrecision(5);

// Idle to full: grey, blue, amber, red; wider as well, for those who do not tell colours apart.
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const stops = () => (isDark() ? [[62, 71, 82], [76, 141, 246], [240, 173, 78], [255, 92, 92]] : [[196, 204, 212], [47, 111, 228], [224, 141, 20], [207, 34, 46]]);
function colour(load) {
  const all = stops();
  const at = Math.min(Math.sqrt(Math.max(load, 0)), 1) * (all.length - 1);
  const place = Math.min(Math.floor(at), all.length - 2);
  return `rgb(${all[place].map((from, i) => Math.round(from + (all[place + 1][i] - from) * (at - place))).join(" ")})`;
}
function drawScale() {
  const canvas = $("scale").getContext("2d");
  for (let x = 0; x < 120; x += 1) { canvas.fillStyle = colour(x / 119); canvas.fillRect(x, 0, 1, 10); }
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}
const nameOf = (link) => `${link.a} – ${link.b}`;

// The drawing is made once; afterwards only colours, widths and queues change.
function drawFabric(topology) {
  const drawing = $("drawing");
  drawing.replaceChildren();
  page.paths = [];
  if (topology.links.length > MOST_LINKS) {
    drawing.setAttribute("hidden", "");
    $("large").hidden = false;
    $("large").textContent = `${count(topology.links.length)} links are too many to draw; find one by its name, or among the busiest.`;
    return;
  }
  const xs = topology.nodes.map((node) => node.x);
  const isTree = Math.max(...topology.nodes.map((node) => node.level)) > 1 || topology.nodes.filter((node) => node.level === 1).length === 1;
  const width = Math.max(...xs) - Math.min(...xs) + 120;
  // Letters of a wide drawing are larger, because all of it is shown smaller; and its rows are further apart.
  page.letters = Math.max(1, width / 1000);
  const tall = Math.max(...topology.nodes.map((node) => node.y)) - Math.min(...topology.nodes.map((node) => node.y));
  const stretch = isTree ? Math.min(Math.max((0.6 * width - 90) / tall, 1), 2.4) : 1;
  for (const node of topology.nodes) node.y *= stretch;
  const ys = topology.nodes.map((node) => node.y);
  const left = Math.min(...xs) - (isTree ? 70 * page.letters + 20 : 30);
  page.whole = [left, Math.min(...ys) - 34 * page.letters, Math.max(...xs) + 30 - left, Math.max(...ys) - Math.min(...ys) + 74 * page.letters];
  zoomTo(page.whole);
  const at = new Map(topology.nodes.map((node) => [node.name, node]));
  const lines = element("g", {}, drawing);
  const queues = element("g", {}, drawing);
  const nodes = element("g", {}, drawing);
  for (const link of topology.links) drawLink(link, at.get(link.a), at.get(link.b), lines, queues);
  drawNodes(topology, nodes, isTree);
}

function drawLink(link, a, b, lines, queues) {
  const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  const group = element("g", { class: "link", "data-link": link.id }, lines);
  element("title", {}, group).textContent = nameOf(link);
  const half = (from) => element("line", { class: "way", x1: from.x, y1: from.y, x2: middle.x, y2: middle.y }, group);
  const [up, down] = [half(a), half(b)];
  element("line", { class: "hit", x1: a.x, y1: a.y, x2: b.x, y2: b.y, "stroke-width": page.topology.links.length > 300 ? 7 : 14 }, group);
  group.addEventListener("click", () => choose(link.id));
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const near = (from, to) => ({ cx: from.x + ((to.x - from.x) * 24) / length, cy: from.y + ((to.y - from.y) * 24) / length });
  const queue = (from, to) => element("circle", { class: "queue", r: 0, ...near(from, to) }, queues);
  page.paths[link.id] = { group, ways: [up, down], queues: [queue(a, b), queue(b, a)] };
}

function drawNodes(topology, group, isTree) {
  const levels = new Map();
  for (const node of topology.nodes) levels.set(node.level, [...(levels.get(node.level) ?? []), node]);
  for (const [level, nodes] of levels) {
    const row = nodes.map((node) => node.x).sort((x, y) => x - y);
    const step = isTree && row.length > 1 ? (row[row.length - 1] - row[0]) / (row.length - 1) : isTree ? 60 : 20;
    const each = Math.max(1, 2 ** Math.ceil(Math.log2((30 * page.letters) / step)));
    for (const [place, node] of nodes.entries()) {
      const size = level === 0 ? [Math.min(step * 0.7, 16), 16] : [Math.min(step * 0.75, 56), isTree ? 18 : 12];
      const kind = `node ${level > 0 ? "switch" : ""} ${node.attached ? "attached" : ""}`;
      const [x, y] = [node.x - size[0] / 2, node.y - size[1] / 2];
      const box = element("rect", { class: kind, x, y, width: size[0], height: size[1], rx: Math.min(3, size[0] / 4), "data-node": node.name }, group);
      element("title", {}, box).textContent = node.attached ? `${node.name}, attached` : node.name;
      if (level > 0) box.addEventListener("click", () => chooseSwitch(node.name));
      if (isTree && place % each === 0) element("text", { x: node.x, y: level === 0 ? node.y + 8 + 14 * page.letters : node.y - 14, "font-size": 11 * page.letters }, group).textContent = node.name.split(":")[1];
    }
    if (isTree) element("text", { class: "row", x: page.whole[0] + 4, y: nodes[0].y + 4, "font-size": 13 * page.letters }, group).textContent = nodes[0].name.split(":")[0];
  }
}

// Zoom and move.
function zoomTo(box) {
  page.zoom = box;
  $("drawing").setAttribute("viewBox", box.map((value) => value.toFixed(1)).join(" "));
  $("whole").hidden = box === page.whole;
}
function setUpZoom() {
  const drawing = $("drawing");
  const scale = () => Math.max(page.zoom[2] / drawing.clientWidth, page.zoom[3] / drawing.clientHeight);
  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    const factor = Math.exp(event.deltaY * 0.0015);
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
    const [x, y, width, height] = page.zoom;
    const next = [point.x - (point.x - x) * factor, point.y - (point.y - y) * factor, width * factor, height * factor];
    zoomTo(next[2] > page.whole[2] ? page.whole : next);
  }, { passive: false });
  let from = null;
  drawing.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY, ...page.zoom]; });
  drawing.addEventListener("pointermove", (event) => {
    if (!from || Math.hypot(event.clientX - from[0], event.clientY - from[1]) < 4) return;
    drawing.classList.add("moving");
    const by = scale();
    zoomTo([from[2] - (event.clientX - from[0]) * by, from[3] - (event.clientY - from[1]) * by, page.zoom[2], page.zoom[3]]);
  });
  const end = () => { from = null; drawing.classList.remove("moving"); };
  for (const kind of ["pointerup", "pointerleave", "pointercancel"]) drawing.addEventListener(kind, end);
  $("whole").addEventListener("click", () => zoomTo(page.whole));
}

// What changes all the time.
function showLinks(links) {
  const dense = links.length > 300;
  for (const link of links) {
    const path = page.paths[link.id];
    if (!path) continue;
    for (const [place, way] of [link.up, link.down].entries()) {
      const line = path.ways[place];
      line.classList.toggle("down", way.down);
      line.setAttribute("stroke", colour(way.load));
      line.setAttribute("stroke-width", ((dense ? 0.6 : 1.6) + way.load * (dense ? 2.4 : 4)).toFixed(2));
      path.queues[place].setAttribute("r", way.queue_bytes ? Math.min(2 + Math.log2(1 + way.queue_bytes / 1500) * (dense ? 0.9 : 1.6), 16).toFixed(1) : 0);
    }
    path.group.dataset.load = Math.max(link.up.load, link.down.load).toFixed(4);
    path.group.dataset.down = link.up.down || link.down.down;
  }
}

function cell(row, text, kind) {
  const made = row.insertCell();
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
function meter(row, way) {
  if (way.down) return cell(row, "down", "is-down");
  const bar = document.createElement("span");
  const fill = document.createElement("i");
  bar.className = "load";
  bar.title = `${(way.load * 100).toFixed(1)} %`;
  fill.style.width = `${(way.load * 100).toFixed(1)}%`;
  fill.style.background = colour(way.load);
  bar.append(fill);
  return cell(row, "").append(bar);
}

function showBusiest(links) {
  const isDown = (link) => link.up.down || link.down.down;
  const heat = (link) => (isDown(link) ? 2 : Math.max(link.up.load, link.down.load));
  const busiest = [...links].sort((a, b) => heat(b) - heat(a) || a.id - b.id).slice(0, 8);
  const body = document.createElement("tbody");
  for (const link of busiest) {
    const row = body.insertRow();
    row.tabIndex = 0;
    cell(row, nameOf(page.topology.links[link.id])).title = nameOf(page.topology.links[link.id]);
    meter(row, link.up);
    meter(row, link.down);
    cell(row, bytes(link.up.queue_bytes + link.down.queue_bytes));
    row.addEventListener("click", () => choose(link.id));
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(link.id); });
  }
  // A row that is about to be clicked stays.
  if (!$("busiest").matches(":active") && !$("busiest").contains(document.activeElement)) $("busiest").tBodies[0].replaceWith(body);
}

function showHosts(hosts) {
  $("hosts-card").hidden = hosts.length === 0;
  const body = document.createElement("tbody");
  for (const host of hosts) {
    const row = body.insertRow();
    cell(row, `host:${host.host}`);
    cell(row, host.address);
    cell(row, bytes(host.sent_bytes)).title = `${count(host.sent_frames)} frames`;
    cell(row, bytes(host.received_bytes)).title = `${count(host.received_frames)} frames`;
  }
  $("hosts").tBodies[0].replaceWith(body);
}

function showStatus(status) {
  page.state = status.state;
  page.tolerance = status.tolerance_us;
  $("name").textContent = status.name;
  $("state").textContent = status.links_down ? `${status.state}, ${status.links_down} down` : status.state;
  $("state").dataset.state = status.state;
  $("emulated").textContent = time(status.emulated_us);
  $("wall").textContent = time(status.wall_s * 1e6);
  $("dilation").textContent = status.dilation === 1 ? "" : `, dilation ${status.dilation}`;
  $("behind").hidden = status.behind_us < 1e5;
  $("behind").textContent = `${time(status.behind_us)} behind the clock`;
  $("pause").textContent = status.state === "paused" ? "Resume" : "Pause";
  const list = document.createDocumentFragment();
  for (const change of [...status.recent].reverse()) {
    const item = document.createElement("li");
    const at = document.createElement("time");
    at.textContent = time(change.emulated_us);
    item.append(at, change.what);
    list.append(item);
  }
  $("recent").replaceChildren(list);
  $("recent").closest("section").hidden = status.recent.length === 0;
}

// Figures, and how they went lately.
function note(series, value) {
  const all = (page.history[series] ??= []);
  all.push(value);
  if (all.length > HISTORY) all.shift();
  const most = Math.max(...all, 1e-9);
  const spark = document.querySelector(`[data-series="${series}"]`);
  const width = Math.max(all.length, HISTORY / 4);
  spark.setAttribute("viewBox", `0 0 ${width} 1`);
  spark.setAttribute("preserveAspectRatio", "none");
  const points = all.map((now, place) => `${place + width - all.length} ${(0.96 - (0.9 * now) / most).toFixed(3)}`);
  const path = spark.firstChild ?? element("path", {}, spark);
  path.setAttribute("d", `M${points.join("L")}`);
}

function showCounters(counters) {
  const { frames, totals, lag } = counters;
  const now = performance.now() / 1000;
  const taken = Object.values(frames.taken).reduce((sum, kind) => sum + kind, 0);
  const next = { now, taken, delivered: frames.delivered, bytes: totals.bytes, emulated: counters.emulated_us };
  const before = page.before ?? next;
  const passed = Math.max(next.now - before.now, 1e-3);
  const emulated = (next.emulated - before.emulated) / 1e6;
  page.before = next;
  $("taken").textContent = count(taken);
  const kinds = Object.entries(frames.taken).filter(([, value]) => value > 0);
  $("taken-kinds").textContent = kinds.map(([kind, value]) => `${count(value)} ${kind}`).join(", ") || "of no attached host yet";
  $("delivered").textContent = count(frames.delivered);
  const lost = frames.dropped_nic + frames.dropped_paused + frames.dropped_ttl + frames.unanswered + frames.overwritten + frames.lost_in + frames.lost_out;
  $("delivered-more").textContent = `marked ${count(frames.marked)}, trimmed ${count(frames.trimmed)}, lost ${count(lost)}`;
  const carried = emulated > 0 ? ((next.bytes - before.bytes) * 8) / emulated : 0;
  $("carried").textContent = bits(carried);
  $("carried-more").textContent = `${count(totals.packets)} packets, dropped ${count(totals.dropped)}`;
  $("queued").textContent = bytes(totals.queue_bytes);
  $("queued-more").textContent = `marked ${count(totals.ecn_marked)}, trimmed ${count(totals.trimmed)}`;
  $("lag").textContent = lag.frames ? time(lag.p999_us) : "–";
  $("lag").closest(".tile").classList.toggle("late", lag.p999_us > page.tolerance);
  $("lag-more").textContent = lag.frames ? `half ${time(lag.p50_us)}, longest ${time(lag.max_us)}` : "no frame handed over yet";
  note("taken", (next.taken - before.taken) / passed);
  note("delivered", (next.delivered - before.delivered) / passed);
  note("carried", carried);
  note("queued", totals.queue_bytes);
  note("lag", lag.p999_us);
  showHosts(counters.hosts);
}

// The panel of a link or switch.
function mark() {
  for (const known of document.querySelectorAll(".chosen")) known.classList.remove("chosen");
  if (typeof page.chosen === "number") page.paths[page.chosen]?.group.classList.add("chosen");
  else if (page.chosen) document.querySelector(`[data-node="${page.chosen}"]`)?.classList.add("chosen");
}
function say(text, isBad) {
  $("answer").textContent = text;
  $("answer").className = isBad ? "bad" : "";
}
function open(name, isLink) {
  $("panel").hidden = false;
  $("panel-name").textContent = name;
  $("panel-link").hidden = !isLink;
  $("panel-switch").hidden = isLink;
  say("");
  mark();
}
function choose(id) {
  page.chosen = id;
  const [built, link] = [page.topology.links[id], page.links[id]];
  open(nameOf(built), true);
  const form = $("change");
  form.rate.value = link ? round(link.up.rate_bps / 1e6) : "";
  form.delay.value = link ? round(link.delay_us) : "";
  form.loss.value = link ? round(link.up.loss * 100) : "";
  form.direction.value = "both";
  form.rate.title = `1 to ${round(built.rate_bps / 1e6)}`;
  form.delay.title = link ? `${round(link.delay_us_min)} or more` : "";
  form.loss.title = "0 to 100";
  const names = form.direction.options;
  names[1].textContent = `${built.a} to ${built.b}`;
  names[2].textContent = `${built.b} to ${built.a}`;
  showPanel();
}
function chooseSwitch(name) {
  page.chosen = name;
  open(name, false);
  $("switch-note").textContent = "A switch that fails loses what stands in its queues, and all its links are down.";
}
function showPanel() {
  if (typeof page.chosen !== "number" || !page.links[page.chosen]) return;
  const [built, link] = [page.topology.links[page.chosen], page.links[page.chosen]];
  const body = document.createElement("tbody");
  for (const [to, way] of [[built.b, link.up], [built.a, link.down]]) {
    const row = body.insertRow();
    cell(row, to);
    meter(row, way);
    cell(row, bits(round(way.rate_bps)) + (way.loss ? `, ${round(way.loss * 100)} % lost` : ""));
    cell(row, bytes(way.queue_bytes));
    cell(row, count(way.dropped));
  }
  $("ways").tBodies[0].replaceWith(body);
  const isDown = link.up.down || link.down.down;
  $("turn").dataset.down = isDown;
  $("turn").textContent = isDown ? "Bring up" : "Take down";
}

// Changes: with the token, asked for once.
function askToken() {
  const dialog = $("ask");
  dialog.returnValue = "";
  $("token").value = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "ok" ? $("token").value.trim() : null), { once: true }));
}
async function send(path, body) {
  let token = sessionStorage.getItem("token") ?? (await askToken());
  while (token) {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body: body ? JSON.stringify(body) : undefined });
    const told = await answer.json().catch(() => ({}));
    if (answer.status === 401) {
      sessionStorage.removeItem("token");
      token = await askToken();
      continue;
    }
    sessionStorage.setItem("token", token);
    if (!answer.ok) throw new Error(told.error?.message ?? `it answered ${answer.status}`);
    return true;
  }
  return false;
}
async function order(path, body, done) {
  try {
    if (await send(path, body)) say(done ?? "");
  } catch (error) {
    say(error.message, true);
    if ($("panel").hidden) trouble(error.message);
  }
}
function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text ?? "";
}

function asked(form, link) {
  const body = {};
  const number = (name) => Number(form[name].value.replace(",", "."));
  const differs = (name, now) => form[name].value.trim() !== "" && number(name) !== round(now);
  const way = form.direction.value === "down" ? link.down : link.up;
  if (differs("rate", way.rate_bps / 1e6)) body.rate = `${form.rate.value.trim()} Mb/s`;
  if (differs("delay", link.delay_us)) body.delay = `${form.delay.value.trim()} us`;
  if (differs("loss", way.loss * 100)) body.loss = Number.isFinite(number("loss")) ? number("loss") / 100 : form.loss.value;
  if (form.direction.value !== "both") body.direction = form.direction.value;
  return body;
}
function setUpForms() {
  $("close").addEventListener("click", () => { page.chosen = null; $("panel").hidden = true; mark(); });
  $("turn").addEventListener("click", () => order(`/api/v1/links/${page.chosen}`, { down: $("turn").dataset.down !== "true" }, "Done."));
  $("change").addEventListener("submit", (event) => {
    event.preventDefault();
    order(`/api/v1/links/${page.chosen}`, asked($("change"), page.links[page.chosen]), "Done.");
  });
  $("fail").addEventListener("click", () => order("/api/v1/faults", { kind: "switch-down", switch: page.chosen }, "It has failed."));
  $("heal").addEventListener("click", () => order("/api/v1/faults", { kind: "switch-up", switch: page.chosen }, "It is back."));
  $("pause").addEventListener("click", () => order(page.state === "paused" ? "/api/v1/resume" : "/api/v1/pause"));
  $("stop").addEventListener("click", () => { if (confirm("End the session?")) order("/api/v1/stop"); });
  $("find").addEventListener("change", () => {
    const name = $("find").value.trim();
    const link = page.topology.links.find((known) => nameOf(known) === name);
    const node = page.topology.nodes.find((known) => known.name === name && known.level > 0);
    if (link) choose(link.id);
    else if (node) chooseSwitch(node.name);
    if (link || node) $("find").value = "";
  });
}

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}
async function look() {
  try {
    const [status, counters, links] = await Promise.all(["status", "counters", "links"].map((name) => ask(`/api/v1/${name}`)));
    page.links = links;
    showStatus(status);
    if (status.state !== "paused" || !page.before) showCounters(counters);
    showLinks(links);
    showBusiest(links);
    showPanel();
    trouble(null);
    document.body.dataset.ready = "yes";
  } catch {
    if (page.state) { $("state").textContent = page.state === "over" ? "over" : "not reached"; $("state").dataset.state = "lost"; }
    trouble("The session does not answer: it is over, or stopped.");
  }
  setTimeout(look, document.hidden ? 4 * EVERY_MS : EVERY_MS);
}
async function begin() {
  setUpForms();
  setUpZoom();
  drawScale();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawScale);
  try {
    page.topology = await ask("/api/v1/topology");
  } catch {
    trouble("The session does not answer.");
    setTimeout(() => location.reload(), 2000);
    return;
  }
  const names = document.createDocumentFragment();
  const offer = (name) => { const option = document.createElement("option"); option.value = name; names.append(option); };
  page.topology.nodes.filter((node) => node.level > 0).forEach((node) => offer(node.name));
  page.topology.links.slice(0, 5000).forEach((link) => offer(nameOf(link)));
  $("names").append(names);
  drawFabric(page.topology);
  await look();
}
begin();
