import { drawLines, drawStrip, scales } from "./charts.js";
import { loadModel } from "./model.js";
import { seededNumbers } from "./sampler.js";

const COUNT = 6; // series at a time
const [REAL, MADE] = ["#7f8fa9", "#e0694c"];
const at = (id) => document.getElementById(id);
let model, real, range, drawn;

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

function rangeOf(rows) {
  const values = rows.flat();
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.15 * (high - low || 1);
  return [low - margin, high + margin];
}

function seed() {
  const given = Number(at("seed").value);
  if (!Number.isInteger(given) || given < 0 || given >= 2 ** 32) {
    throw new Error(`the seed is a whole number from 0 to ${2 ** 32 - 1}, found "${at("seed").value}"`);
  }
  return given;
}

function showSamples(made = []) {
  const name = at("class").selectedOptions[0].textContent;
  const lines = real[at("class").value].map((series) => ({ series, colour: REAL, opacity: 0.6 }));
  lines.push(...made.map((series) => ({ series, colour: MADE, width: 1.6 })));
  drawLines(at("samples"), lines, model?.about.length ?? lines[0].series.length, range, `Series of class ${name}`);
}

async function generate() {
  const [label, start] = [Number(at("class").value), performance.now()];
  const { values, codes } = await model.generate(label, COUNT, seededNumbers(seed()));
  showSamples(values);
  drawStrip(at("codes"), codes[0]);
  document.body.dataset.codes = JSON.stringify(codes);
  say(`${COUNT} series of class ${at("class").selectedOptions[0].textContent} in ${Math.round(performance.now() - start)} ms.`);
}

/** The numbers that were pasted, at the model's length: other lengths are stretched with straight lines. */
function pasted(text) {
  const words = text.split(/[\s,;[\]]+/).filter(Boolean);
  const numbers = words.map(Number);
  const bad = words.find((_, index) => !Number.isFinite(numbers[index]));
  if (bad !== undefined) throw new Error(`"${bad.slice(0, 30)}" is not a number`);
  if (numbers.length < 8) throw new Error(`a series has at least 8 samples, found ${numbers.length}`);
  if (numbers.length > 10000) throw new Error(`a series has at most 10000 samples, found ${numbers.length}`);
  const { length } = model.about;
  return Array.from({ length }, (_, index) => {
    const place = (index * (numbers.length - 1)) / (length - 1);
    const before = Math.min(Math.floor(place), numbers.length - 2);
    return numbers[before] + (place - before) * (numbers[before + 1] - numbers[before]);
  });
}

async function showDrawn(series) {
  drawn = series;
  const codes = await model.encode(series);
  const [again] = await model.decode([codes]);
  const error = series.reduce((sum, value, index) => sum + (value - again[index]) ** 2, 0) / series.length;
  const lines = [{ series, colour: REAL, width: 2 }, { series: again, colour: MADE, width: 1.6 }];
  drawLines(at("yours"), lines, series.length, rangeOf([series, again, range]), "Your series and its reconstruction");
  drawStrip(at("your-codes"), codes);
  say(`Your series became ${codes.length} codes. Decoded again, it differs by ${error.toPrecision(2)} in the mean square.`);
}

/** Keeps the codes of the first half of the visitor's series, and draws the others anew for the class. */
async function redraw() {
  if (!drawn) throw new Error("draw or paste a series first");
  const codes = await model.encode(drawn);
  const columns = model.about.grid[1];
  const known = codes.map((code, place) => (place % columns < columns / 2 ? code : null));
  const made = await model.generate(Number(at("class").value), 1, seededNumbers(seed()), [known]);
  const lines = [{ series: drawn, colour: REAL, width: 2 }, { series: made.values[0], colour: MADE, width: 1.6 }];
  drawLines(at("yours"), lines, drawn.length, rangeOf([drawn, made.values[0], range]), "Your series, drawn anew");
  drawStrip(at("your-codes"), made.codes[0], Math.ceil(columns / 2));
  say(`The second half of your series was drawn anew as class ${at("class").selectedOptions[0].textContent}.`);
}

/** Lets the mouse or a finger draw a series into the chart. */
function letDraw(svg) {
  let line = null;
  const move = (event) => {
    if (!line) return;
    const box = svg.getBoundingClientRect();
    const place = scales(line.length, ...range);
    const sample = place.sample((event.clientX - box.left) / box.width);
    const value = place.value((event.clientY - box.top) / box.height);
    const last = line.last ?? sample;
    const from = Math.max(0, Math.min(last, sample));
    const to = Math.min(line.length - 1, Math.max(last, sample));
    for (let index = from; index <= to; index++) line[index] = value;
    line.last = sample;
    drawLines(svg, [{ series: Array.from(line), colour: REAL, width: 2 }], line.length, range, "Your series");
  };
  svg.addEventListener("pointerdown", (event) => {
    if (!model) return;
    svg.setPointerCapture(event.pointerId);
    line = new Array(model.about.length).fill((range[0] + range[1]) / 2);
    move(event);
  });
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerup", safely(async () => {
    const series = line && Array.from(line);
    line = null;
    if (series) await showDrawn(series);
  }));
}

async function start() {
  const name = new URLSearchParams(location.search).get("model") ?? "gunPoint";
  if (!/^\w+$/.test(name)) throw new Error("the model in the address is not one of this page's");
  const answer = await fetch(`models/${name}/real.json`);
  if (!answer.ok) throw new Error(`this page has no model ${name}`);
  const shown = await answer.json();
  real = shown.series;
  range = rangeOf(real.flat());
  at("about").textContent = shown.about;
  at("class").replaceChildren(...shown.classes.map((text, index) => new Option(text, index)));
  showSamples();
  drawLines(at("yours"), [], real[0][0].length, range, "An empty chart to draw in");
  model = await loadModel(`models/${name}`);
  for (const control of document.querySelectorAll("button, select, input, textarea")) control.disabled = false;
  at("class").addEventListener("change", safely(async () => {
    await generate();
    if (drawn) await redraw();
  }));
  at("generate").addEventListener("click", safely(generate));
  at("show").addEventListener("click", safely(() => showDrawn(pasted(at("numbers").value))));
  at("redraw").addEventListener("click", safely(redraw));
  letDraw(at("yours"));
  await generate();
  document.body.dataset.ready = Math.round(performance.now());
}

window.ncvqvae = { get model() { return model; } }; // for the test that compares its draws with Python's
safely(start)();
