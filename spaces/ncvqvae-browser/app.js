import { chartsIn, drawLines, drawStrip, scales } from "./charts.js";
import { loadModel } from "./model.js";
import { seededNumbers } from "./sampler.js";

const COUNT = 6; // series at a time
const FIRST = "gunPoint";
const [REAL, MADE] = ["#7f8fa9", "#e0694c"];
const at = (id) => document.getElementById(id);
const controls = () => document.querySelectorAll("button, select, input, textarea");
let model, shown, ranges, drawn; // `drawn` is a series of the visitor: channels of samples

function say(text, wrong = false) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", wrong);
}

/** Runs an action; what goes wrong becomes a sentence. */
function safely(action) {
  return async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      say(error.message, true);
    }
  };
}

/** The lowest and the highest value of each channel of some series, with a margin. */
function rangesOf(rows) {
  return Array.from({ length: shown.channels }, (_, channel) => {
    const values = rows.flatMap((series) => series[channel]);
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [-1, 1];
    const margin = 0.15 * (high - low || 1);
    return [low - margin, high + margin];
  });
}

const wider = ([low, high], [lower, higher]) => [Math.min(low, lower), Math.max(high, higher)];

/** Draws series `{ series, colour, width, opacity }`, a chart for each channel. */
function draw(id, lines, within, label) {
  chartsIn(at(id), shown.channels).forEach((svg, channel) => {
    const own = lines.map(({ series, ...style }) => ({ series: series[channel], ...style }));
    const name = shown.channels > 1 ? `channel ${channel + 1}` : "";
    drawLines(svg, own, shown.length, within[channel], name ? `${label}, ${name}` : label, name);
  });
}

function seed() {
  const given = Number(at("seed").value);
  if (!Number.isInteger(given) || given < 0 || given >= 2 ** 32) {
    throw new Error(`the seed is a whole number from 0 to ${2 ** 32 - 1}, found "${at("seed").value}"`);
  }
  return given;
}

const chosen = () => shown.classes[at("class").value];

function showSamples(made = []) {
  const lines = chosen().series.map((series) => ({ series, colour: REAL, opacity: 0.6 }));
  lines.push(...made.map((series) => ({ series, colour: MADE, width: 1.6 })));
  const within = made.length ? ranges.map((range, channel) => wider(range, rangesOf(made)[channel])) : ranges;
  draw("samples", lines, within, `Series of ${chosen().name}`);
}

async function generate() {
  const start = performance.now();
  const { values, codes } = await model.generate(chosen().label, COUNT, seededNumbers(seed()));
  showSamples(values);
  drawStrip(at("codes"), codes[0], model.about.grid[1]);
  document.body.dataset.codes = JSON.stringify(codes);
  say(`${COUNT} series of ${chosen().name} in ${Math.round(performance.now() - start)} ms.`);
}

/** A channel that was pasted, at the model's length: other lengths are stretched with straight lines. */
function pastedChannel(text) {
  const words = text.split(/[\s,;[\]]+/).filter(Boolean);
  const numbers = words.map(Number);
  const bad = words.find((_, index) => !Number.isFinite(numbers[index]));
  if (bad !== undefined) throw new Error(`"${bad.slice(0, 30)}" is not a number`);
  if (numbers.length < 8) throw new Error(`a series has at least 8 samples, found ${numbers.length}`);
  if (numbers.length > 10000) throw new Error(`a series has at most 10000 samples, found ${numbers.length}`);
  const { length } = shown;
  return Array.from({ length }, (_, index) => {
    const place = (index * (numbers.length - 1)) / (length - 1);
    const before = Math.min(Math.floor(place), numbers.length - 2);
    return numbers[before] + (place - before) * (numbers[before + 1] - numbers[before]);
  });
}

function pasted(text) {
  if (shown.channels === 1) return [pastedChannel(text)];
  const lines = text.split("\n").filter((line) => line.trim());
  if (lines.length !== shown.channels) {
    throw new Error(`a series has ${shown.channels} channels, each in a line of its own; found ${lines.length}`);
  }
  return lines.map(pastedChannel);
}

async function showDrawn(series) {
  drawn = series;
  const codes = await model.encode(series);
  const [again] = await model.decode([codes]);
  const [flat, other] = [series.flat(), again.flat()];
  const error = flat.reduce((sum, value, index) => sum + (value - other[index]) ** 2, 0) / flat.length;
  showYours(again, "Your series and its reconstruction");
  drawStrip(at("your-codes"), codes, model.about.grid[1]);
  say(`Your series became ${codes.length} codes. Decoded again, it differs by ${error.toPrecision(2)} in the mean square.`);
}

/** The visitor's series, and under it what the model makes of it. */
function showYours(made, label) {
  const lines = [{ series: drawn, colour: REAL, width: 2 }, { series: made, colour: MADE, width: 1.6 }];
  draw("yours", lines, rangesOf([drawn, made]).map((range, channel) => wider(range, ranges[channel])), label);
}

/** Keeps the codes of the first half of the visitor's series, and draws the others anew for the class. */
async function redraw() {
  if (!drawn) throw new Error("draw or paste a series first");
  const codes = await model.encode(drawn);
  const columns = model.about.grid[1];
  const known = codes.map((code, place) => (place % columns < columns / 2 ? code : null));
  const made = await model.generate(chosen().label, 1, seededNumbers(seed()), [known]);
  showYours(made.values[0], "Your series, drawn anew");
  drawStrip(at("your-codes"), made.codes[0], columns, (place) => place % columns >= columns / 2);
  say(`The second half of your series was drawn anew as ${chosen().name}.`);
}

/** Lets the mouse or a finger draw into the charts: the channel of one; the others stay, or are of a real series. */
function letDraw(box) {
  let line = null;
  const move = (event) => {
    if (!line) return;
    const area = line.svg.getBoundingClientRect();
    const place = scales(shown.length, ...ranges[line.channel]);
    const sample = place.sample((event.clientX - area.left) / area.width);
    const value = place.value((event.clientY - area.top) / area.height);
    const last = line.last ?? sample;
    const to = Math.min(shown.length - 1, Math.max(last, sample));
    for (let index = Math.max(0, Math.min(last, sample)); index <= to; index++) line.series[line.channel][index] = value;
    line.last = sample;
    draw("yours", [{ series: line.series, colour: REAL, width: 2 }], ranges, "Your series");
  };
  box.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest("svg");
    if (!model || !svg) return;
    svg.setPointerCapture(event.pointerId);
    const channel = [...box.children].indexOf(svg);
    const middle = ranges.map(([low, high]) => new Array(shown.length).fill((low + high) / 2));
    const series = (drawn ?? chosen().series[0] ?? middle).map((values) => [...values]);
    series[channel] = middle[channel];
    line = { svg, channel, series };
    move(event);
  });
  box.addEventListener("pointermove", move);
  box.addEventListener("pointerup", safely(async () => {
    const series = line?.series;
    line = null;
    if (series) await showDrawn(series);
  }));
}

async function fetched(path, missing) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(missing);
  return answer.json();
}

/** Shows a checkpoint's real series, then loads it and generates. */
async function open(name) {
  for (const control of controls()) control.disabled = true;
  say(`Loading ${name}…`);
  const loading = loadModel(`models/${name}`);
  loading.catch(() => {}); // said below, unless it is the page that has no such model
  shown = await fetched(`models/${name}/real.json`, `this page has no model ${name}`);
  [drawn, ranges] = [null, rangesOf(shown.classes.flatMap((one) => one.series))];
  at("about").textContent = shown.about;
  at("over").hidden = !shown.classes.some((one) => one.series.length);
  at("class").replaceChildren(...shown.classes.map((one, index) => new Option(one.option, index)));
  showSamples();
  draw("yours", [], ranges, "An empty chart to draw in");
  for (const strip of [at("codes"), at("your-codes")]) strip.replaceChildren();
  document.body.dataset.pictured ??= Math.round(performance.now());
  model?.release();
  model = await loading;
  for (const control of controls()) control.disabled = false;
  await generate();
}

async function start() {
  const names = await fetched("models/index.json", "this page has no models: build it with make browser");
  const name = new URLSearchParams(location.search).get("model") ?? (names.includes(FIRST) ? FIRST : names[0]);
  if (!/^\w+$/.test(name)) throw new Error("the model in the address is not one of this page's");
  at("model").replaceChildren(...names.map((one) => new Option(one, one, one === name, one === name)));
  at("model").addEventListener("change", safely(async () => {
    history.replaceState(null, "", `?model=${at("model").value}`);
    await open(at("model").value);
  }));
  at("class").addEventListener("change", safely(async () => {
    await generate();
    if (drawn) await redraw();
  }));
  at("generate").addEventListener("click", safely(generate));
  at("show").addEventListener("click", safely(() => showDrawn(pasted(at("numbers").value))));
  at("redraw").addEventListener("click", safely(redraw));
  letDraw(at("yours"));
  await open(name);
  document.body.dataset.ready = Math.round(performance.now());
}

window.ncvqvae = { get model() { return model; } }; // for the test that compares its draws with Python's
safely(start)();
