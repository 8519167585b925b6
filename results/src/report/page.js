"use strict";
// Draws the page from the data in it. Nothing is asked of anywhere else.
const page = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const main = document.getElementById("main");
// Okabe and Ito: apart for colour-blind readers and in print.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f"];
const CIVIDIS = [[0, 34, 78], [42, 63, 108], [87, 93, 109], [124, 123, 120], [166, 157, 117], [211, 193, 100], [254, 232, 56]];
// What the time of a flow goes on; kinds of causes are kinds of colours.
const CAUSES = {
  "serialisation": "#56b4e9", "propagation": "#a8d8f4", "processing": "#c9d3da", "host": "#c9d3da", "no answer yet": "#9fb3c1",
  "queueing": "#e69f00", "paused": "#d55e00", "link retry": "#f0e442",
  "window limited": "#0072b2", "credit limited": "#24528f", "rate limited": "#4a3f8f",
  "waiting for the NIC": "#009e73", "behind other messages": "#5f7f3f", "waiting to be asked": "#7fbf9f", "connection set-up": "#8c6d46", "receiver out of resources": "#6d4c41",
  "retransmission": "#cc79a7", "not known": "#999999",
};
const redraw = [];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const digits = Number.isInteger(value) ? 0 : size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  while (value >= 1024 && place + 1 < units.length) { value /= 1024; place += 1; }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[place]}`;
}

function section(title) {
  const id = title.toLowerCase().replace(/[^a-z0-9]+/g, "-") + "-" + main.children.length;
  document.getElementById("nav").append(make("a", { href: `#${id}` }, title));
  const element = make("section", { id }, make("h2", {}, title));
  main.append(element);
  return element;
}

// Variants side by side, each after the first with its ratio; the best is marked.
function sideBySide({ title, variants, rows }) {
  const head = make("tr", {}, make("th", {}, title), ...variants.map((name) => make("th", {}, name)));
  const body = rows.map(([name, unit, better, values]) => {
    const known = values.filter((value) => value !== null);
    const best = better === "lower" ? Math.min(...known) : better === "higher" ? Math.max(...known) : null;
    const differ = known.some((value) => value !== known[0]);
    const cells = values.map((value, place) => {
      const cell = make("td", { class: differ && value !== null && value === best ? "best" : "" }, number(value));
      if (place > 0 && values[0] && value !== null) {
        cell.append(make("span", { class: "ratio" }, `${(value / values[0]).toFixed(2)}×`));
      }
      return cell;
    });
    return make("tr", {}, make("td", {}, unit ? `${name}, ${unit}` : name), ...cells);
  });
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

function plainTable([heads, rows]) {
  const head = make("tr", {}, ...heads.map((name) => make("th", {}, name)));
  const body = rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

function colours() {
  const style = getComputedStyle(root);
  const of = (name) => style.getPropertyValue(name).trim();
  return { back: of("--card"), fore: of("--fore"), soft: of("--soft"), line: of("--line") };
}

function axisOf(axis, points) {
  const { soft, line } = colours();
  const layout = { title: { text: axis.label }, gridcolor: line, zerolinecolor: line, linecolor: soft, automargin: true };
  if (axis.words.length) return { ...layout, tickvals: axis.words.map((_, place) => place), ticktext: axis.words };
  const spread = Math.max(...points) / Math.max(Math.min(...points), 1e-300);
  if (axis.log && Math.min(...points) > 0 && spread > 15) layout.type = "log";
  if (axis.bytes) {
    const ticks = [...new Set(points)].sort((a, b) => a - b);
    const stride = Math.ceil(ticks.length / 9);
    layout.tickvals = ticks.filter((_, place) => place % stride === 0);
    layout.ticktext = layout.tickvals.map(bytes);
  }
  return layout;
}

// Charts are drawn when they come into view: a page may have many.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) { seen.unobserve(entry.target); entry.target.draw(); }
  }
}, { rootMargin: "300px" });

function chart(data) {
  const element = make("div", { class: "chart" });
  element.draw = () => {
    const { back, fore, soft, line } = colours();
    const traces = data.lines.map((one, place) => ({
      type: "scatter", name: one.name, x: one.x, y: one.y, mode: data.marks ? "lines+markers" : "lines",
      line: { color: COLOURS[place % COLOURS.length], width: 2, dash: place >= COLOURS.length ? "dash" : "solid" },
      error_y: one.spread.length ? { type: "data", array: one.spread, color: COLOURS[place % COLOURS.length], thickness: 1 } : undefined,
    }));
    const layout = {
      title: { text: data.title, font: { size: 14 }, x: 0.02, xanchor: "left" }, paper_bgcolor: back, plot_bgcolor: back, hoverlabel: { bgcolor: back, bordercolor: line, font: { color: fore } },
      font: { color: fore, size: 12 }, margin: { l: 64, r: 16, t: 44, b: 52 }, hovermode: "x unified", hoverdistance: -1,
      legend: { orientation: "h", y: -0.2, font: { color: soft } },
      xaxis: axisOf(data.x, data.lines.flatMap((line) => line.x)), yaxis: { ...axisOf(data.y, []), rangemode: data.zero ? "tozero" : "normal" },
    };
    Plotly.react(element, traces, layout, { responsive: true, displaylogo: false });
    element.dataset.drawn = "yes";
  };
  seen.observe(element);
  redraw.push(() => { if (element.dataset.drawn) element.draw(); });
  return element;
}

function shade(load) {
  const place = Math.min(Math.max(load, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.floor(place), part = place - low;
  const a = CIVIDIS[low], b = CIVIDIS[Math.min(low + 1, CIVIDIS.length - 1)];
  return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * part)).join(",")})`;
}

// The fabric: hosts below, switches by level above; each link in the colour of its load at the slider's time.
function fabric(run) {
  const canvas = make("canvas", { height: 460, "aria-label": "the fabric with the load of its links" });
  const slider = make("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "time" });
  const time = make("span", { class: "time" });
  const told = make("span", { class: "note" });
  const choice = make("select", { "aria-label": "variant and workload" }, ...run.fabrics.map((one, place) => make("option", { value: place }, one.title)));
  const play = make("button", { type: "button" }, "play");
  let own, loads, places, timer = null;

  function choose() {
    own = run.fabrics[Number(choice.value)];
    const text = atob(own.loads);
    loads = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) loads[i] = text.charCodeAt(i);
    const most = Math.max(...own.levels, 1);
    const counts = {}, next = {};
    for (const level of own.levels) counts[level] = (counts[level] || 0) + 1;
    places = own.levels.map((level) => {
      const place = next[level] || 0;
      next[level] = place + 1;
      return [(place + 0.5) / counts[level], 1 - (level + 0.12) / (most + 0.24)];
    });
    slider.max = Math.max(own.intervals - 1, 0);
    slider.value = Math.min(Number(slider.value), Number(slider.max));
    draw();
  }

  function draw() {
    if (!own) return;
    const width = canvas.clientWidth || 1100, height = 460, ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.clearRect(0, 0, width, height);
    const at = Number(slider.value);
    const base = at * own.links.length;
    context.lineWidth = own.links.length > 3000 ? 0.6 : own.links.length > 600 ? 1 : 1.8;
    // Fuller links are drawn last, on top.
    const order = own.links.map((_, place) => place).sort((a, b) => loads[base + a] - loads[base + b]);
    const dark = root.dataset.theme === "dark";
    for (const link of order) {
      const [a, b] = own.links[link];
      const [[x, y], [u, v]] = [places[a], places[b]];
      const load = loads[base + link] / 255;
      context.strokeStyle = load > 0 ? shade(load) : dark ? "#2b323c" : "#d8dee4";
      context.beginPath();
      context.moveTo(x * width, y * height);
      if (Math.abs(y - v) < 1e-6) context.quadraticCurveTo((x + u) / 2 * width, y * height - 40 - 90 * Math.abs(x - u), u * width, v * height);
      else context.lineTo(u * width, v * height);
      context.stroke();
    }
    context.fillStyle = colours().soft;
    const side = own.nodes.length > 1500 ? 1.5 : own.nodes.length > 300 ? 3 : 6;
    for (const [x, y] of places) context.fillRect(x * width - side / 2, y * height - side / 2, side, side);
    time.textContent = `${number((at + 1) * own.interval)} us`;
    const until = (at + 1) * own.interval;
    const faults = own.faults.filter(([when]) => when <= until).slice(-2).map(([when, what]) => `${what} at ${number(when)} us`);
    told.textContent = faults.join("; ");
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    let best = null, least = 0.012;
    own.links.forEach(([a, b], link) => {
      const [[p, q], [r, s]] = [places[a], places[b]];
      const along = Math.min(Math.max(((x - p) * (r - p) + (y - q) * (s - q)) / ((r - p) ** 2 + (s - q) ** 2 || 1), 0), 1);
      const distance = Math.hypot(x - p - along * (r - p), y - q - along * (s - q));
      if (distance < least) { least = distance; best = link; }
    });
    if (best === null) { canvas.title = ""; return; }
    const [a, b] = own.links[best];
    const load = loads[Number(slider.value) * own.links.length + best] / 255;
    canvas.title = `${own.nodes[a]} – ${own.nodes[b]}: ${(load * 100).toFixed(0)} %`;
  }

  play.addEventListener("click", () => {
    if (timer) { clearInterval(timer); timer = null; play.textContent = "play"; return; }
    play.textContent = "pause";
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1);
      draw();
    }, 120);
  });
  slider.addEventListener("input", draw);
  choice.addEventListener("change", choose);
  canvas.addEventListener("mousemove", nearest);
  window.addEventListener("resize", draw);
  redraw.push(draw);
  const controls = make("div", { class: "controls" }, choice, play, slider, time, make("span", {}, "0 "), make("span", { class: "scale" }), make("span", {}, " 100 %"));
  requestAnimationFrame(choose);
  return make("div", { class: "fabric" }, controls, canvas, told);
}

function again({ command, scenario }) {
  return make("details", {}, make("summary", {}, "the scenario, and how to run it again"), make("pre", {}, command), make("pre", {}, scenario));
}

for (const sweep of page.sweeps) {
  const own = section(`sweep ${sweep.name}`);
  own.append(make("p", { class: "note" }, `${sweep.runs} runs; means over seeds with 95 % confidence intervals`));
  own.append(make("div", { class: "grid" }, ...sweep.charts.map(chart)));
  own.append(make("h3", {}, "means"), plainTable(sweep.table), again(sweep));
}
for (const run of page.runs) {
  const own = section(run.name);
  for (const note of run.notes) own.append(make("p", { class: "note" }, note));
  for (const claim of run.claims) own.append(make("p", { class: claim.holds ? "claim" : "claim missed" }, claim.text));
  own.append(make("div", { class: "beside" }, ...run.tables.map(sideBySide)));
  if (run.fabrics.length) own.append(make("h3", {}, "load of links"), fabric(run));
  own.append(make("h3", {}, "charts"), make("div", { class: "grid" }, ...run.charts.map(chart)));
  if (run.slowest.length) own.append(make("h3", {}, "slowest flows"), slowestFlows(run.slowest));
  own.append(again(run));
}

// A flow's time as a bar of its causes; a click on the row opens the whole of it.
function slowestFlows(flows) {
  const explained = flows.some((flow) => flow.explanation);
  const heads = ["flow", "from", "to", "size", "completion, us", "slowdown", ...(explained ? ["where the time went"] : [])];
  const body = make("tbody");
  for (const flow of flows) {
    const cells = [`${flow.run}: ${flow.message}`, `host ${flow.src}`, `host ${flow.dst}`, bytes(flow.bytes), flow.fct_us === null ? "not finished" : number(flow.fct_us), number(flow.slowdown)];
    const row = make("tr", {}, ...cells.map((text) => make("td", {}, text)));
    body.append(row);
    if (!explained) continue;
    const cell = make("td");
    row.append(cell);
    if (!flow.explanation) continue;
    const whole = flow.causes.reduce((sum, [, time]) => sum + time, 0);
    const share = (time) => (100 * time) / (whole || 1);
    const parts = flow.causes.map(([cause, time]) => make("span", { style: `width: ${share(time)}%; background: ${CAUSES[cause] || "#999999"}`, title: `${cause}: ${number(time)} us, ${share(time).toFixed(1)} %` }));
    const [first, time] = flow.causes[0];
    cell.append(make("div", { class: "causes" }, ...parts), make("span", { class: "note" }, `${first} ${share(time).toFixed(0)} %`));
    const whole_text = make("tr", { class: "explanation", hidden: "" }, make("td", { colspan: heads.length }, make("pre", {}, flow.explanation)));
    row.classList.add("opens");
    row.tabIndex = 0;
    const toggle = () => { whole_text.hidden = !whole_text.hidden; };
    row.addEventListener("click", toggle);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") toggle(); });
    body.append(whole_text);
  }
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", {}, head)))), body);
  const own = make("div", { class: "scroll slowest" }, table);
  if (explained) {
    const seen = Object.keys(CAUSES).filter((cause) => flows.some((flow) => flow.causes.some(([name]) => name === cause)));
    const legend = seen.map((cause) => make("span", {}, make("i", { style: `background: ${CAUSES[cause]}` }), cause));
    own.prepend(make("p", { class: "legend note" }, ...legend, "a click on a row shows its way"));
  }
  return own;
}

function theme(name) {
  root.dataset.theme = name;
  redraw.forEach((draw) => draw());
}
document.getElementById("theme").addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));
theme(window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.body.dataset.ready = "yes";
