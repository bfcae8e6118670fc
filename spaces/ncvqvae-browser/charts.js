// Charts as SVG, whose text has the colour of the page.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [480, 260, 44, 34, 8];

function element(name, attributes, parent, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, index) => first + index * step);
}

/** Places of samples and values in a chart, and back. */
export function scales(length, low, high) {
  const [width, height] = [WIDTH - LEFT - 8, HEIGHT - BOTTOM - TOP];
  return {
    x: (sample) => LEFT + (sample / (length - 1)) * width,
    y: (value) => TOP + ((high - value) / (high - low)) * height,
    sample: (x) => Math.round(((x * WIDTH - LEFT) / width) * (length - 1)),
    value: (y) => high - ((y * HEIGHT - TOP) / height) * (high - low),
  };
}

/** So many charts in a box, one below the other. */
export function chartsIn(box, count) {
  while (box.children.length > count) box.lastElementChild.remove();
  while (box.children.length < count) box.append(document.createElementNS(SVG, "svg"));
  return [...box.children];
}

/** Draws lines `{ series, colour, width, opacity }` into an SVG, from `low` to `high`; `label` is for who cannot see. */
export function drawLines(svg, lines, length, [low, high], label, title = "") {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const { x, y } = scales(length, low, high);
  const quiet = { stroke: "currentColor", "stroke-opacity": 0.25 };
  const small = { "font-size": 14, fill: "currentColor" };
  for (const value of ticks(low, high)) {
    element("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value), ...quiet }, svg);
    element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end", ...small }, svg, `${+value.toPrecision(3)}`);
  }
  for (const sample of ticks(0, length - 1)) {
    element("text", { x: x(sample), y: HEIGHT - 18, "text-anchor": "middle", ...small }, svg, `${sample}`);
  }
  if (title) element("text", { x: LEFT + 6, y: TOP + 12, ...small }, svg, title);
  element("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 3, "text-anchor": "middle", ...small }, svg, "sample");
  for (const { series, colour, width = 1.3, opacity = 1 } of lines) {
    const points = Array.from(series, (value, sample) => `${x(sample).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    const stroke = { fill: "none", stroke: colour, "stroke-width": width, "stroke-opacity": opacity };
    element("polyline", { points, ...stroke }, svg);
  }
}

/** Shows codes in rows of colours; a code has one colour, and says its number to the mouse. `isNew` marks places. */
export function drawStrip(box, codes, columns, isNew = () => false) {
  box.style.setProperty("--columns", columns);
  box.replaceChildren(
    ...codes.map((code, place) => {
      const cell = document.createElement("span");
      cell.style.background = `hsl(${((code * 0.618034) % 1) * 360} 60% 72%)`;
      cell.title = `code ${code}`;
      cell.classList.toggle("new", isNew(place));
      return cell;
    }),
  );
}
