// The sampling loop of ncvqvae, as src/ncvqvae/models/masking.py has it: for the same uniform numbers, the same codes.

/** Share of masked codes after `progress` (0 to 1) of the decoding: the cosine schedule, from all to none. */
export function maskRatio(progress) {
  return Math.cos((progress * Math.PI) / 2);
}

/** The scale of the guidance after a share `progress` of the steps; 1 is none. */
export function guidanceAt(progress, scale, schedule) {
  if (schedule === "ramped") return 1 + (scale - 1) * progress;
  return schedule === "constant" || (progress >= 0.25 && progress <= 0.75) ? scale : 1;
}

/** A source of uniform numbers in [0, 1): `source(count)` gives so many. The same seed gives the same (mulberry32). */
export function seededNumbers(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 8) / 2 ** 24;
  };
  return (count) => Float64Array.from({ length: count }, next);
}

/** Draws a code from `logits[start .. start + size]` by inverting the cumulative distribution at a uniform number. */
export function drawCode(logits, start, size, temperature, uniform) {
  let largest = -Infinity;
  for (let code = 0; code < size; code++) largest = Math.max(largest, logits[start + code] / temperature);
  const weights = new Float64Array(size);
  let total = 0;
  for (let code = 0; code < size; code++) {
    weights[code] = Math.exp(logits[start + code] / temperature - largest);
    total += weights[code];
  }
  const level = uniform * total;
  let code = 0;
  for (let sum = weights[0]; sum <= level && code < size - 1; sum += weights[code]) code++;
  return { code, probability: weights[code] / total };
}

/** Van der Corput's sequence: the digits of 0, 1, ... in `base`, mirrored at the point. */
export function radicalInverse(count, base) {
  return Float64Array.from({ length: count }, (_, index) => {
    let [inverse, digit] = [0, 1 / base];
    for (let rest = index; rest > 0; rest = Math.floor(rest / base), digit /= base) inverse += (rest % base) * digit;
    return inverse;
  });
}

/** Positions of a grid `[rows, columns]` in an order in which those that follow each other lie far apart. */
export function lowDiscrepancyOrder([rows, columns], rowShift, columnShift) {
  const count = 2 ** Math.ceil(Math.log2(columns)) * 3 ** Math.ceil(Math.log(rows) / Math.log(3));
  const [byRow, byColumn] = [radicalInverse(count, 3), radicalInverse(count, 2)];
  const seen = new Set();
  for (let visit = 0; visit < count; visit++) {
    const row = Math.floor(((byRow[visit] + rowShift) % 1) * rows);
    const column = Math.floor(((byColumn[visit] + columnShift) % 1) * columns);
    seen.add(row * columns + column);
  }
  return [...seen];
}

function drawnOrders(name, batch, grid, numbers) {
  const size = grid[0] * grid[1];
  if (name === "random") {
    const keys = numbers(batch * size);
    const row = (index) => Array.from({ length: size }, (_, place) => place).sort(
      (a, b) => keys[index * size + a] - keys[index * size + b],
    );
    return Array.from({ length: batch }, (_, index) => row(index));
  }
  const shifts = numbers(2 * batch);
  return Array.from({ length: batch }, (_, index) => lowDiscrepancyOrder(grid, shifts[index], shifts[batch + index]));
}

/** The places that are masked again: those of the least confident codes, the least first. */
function leastConfident(places, probabilities, left, noiseScale, numbers) {
  const noise = numbers(places.length);
  const confidence = places.map((_, index) => {
    const gumbel = -Math.log(Math.max(-Math.log(Math.max(noise[index], 1e-20)), 1e-20));
    return Math.log(probabilities[index] + 1e-5) + noiseScale * gumbel;
  });
  const order = places.map((_, index) => index).sort((a, b) => confidence[a] - confidence[b]);
  return order.slice(0, left).map((index) => places[index]);
}

/**
 * Draws codes for a class, in parallel steps.
 *
 * @param predict takes an array of rows of codes, `codebookSize` where one is masked, a label (-1 for no class) and
 *   returns a promise of logits, flat: rows x codes x codebookSize.
 * @param settings `{ numCodes, codebookSize, grid, numSteps, order, temperature, choiceTemperature, guidanceScale,
 *   guidanceSchedule }`.
 * @param numbers a source of uniform numbers; see `seededNumbers`.
 * @param known rows of codes of which some are kept: null where a code is to be drawn. Without it all are drawn.
 * @returns a promise of rows of codes.
 */
export async function drawCodes(predict, label, batch, settings, numbers, known = null) {
  const { numCodes, codebookSize, temperature } = settings;
  const steps = Math.min(settings.numSteps, numCodes);
  const codes = Array.from({ length: batch }, (_, row) =>
    Array.from({ length: numCodes }, (_, place) => known?.[row][place] ?? codebookSize),
  );
  const open = codes.map((row) => row.flatMap((code, place) => (code === codebookSize ? [place] : [])));
  const guided = async (progress) => {
    const scale = guidanceAt(progress, settings.guidanceScale, settings.guidanceSchedule);
    const logits = await predict(codes, label);
    if (scale === 1) return logits;
    const without = await predict(codes, -1);
    return logits.map((value, index) => without[index] + scale * (value - without[index]));
  };
  const draw = (logits, places, uniforms) =>
    places.map((rowPlaces, row) =>
      rowPlaces.map((place, index) => {
        const start = (row * numCodes + place) * codebookSize;
        return drawCode(logits, start, codebookSize, temperature, uniforms[row * rowPlaces.length + index]);
      }),
    );
  if (settings.order === "confidence") {
    let masked = open;
    for (let step = 1; step <= steps && masked[0].length; step++) {
      const drawn = draw(await guided((step - 1) / steps), masked, numbers(batch * masked[0].length));
      masked.forEach((places, row) => places.forEach((place, index) => (codes[row][place] = drawn[row][index].code)));
      const left = Math.floor(open[0].length * maskRatio(step / steps));
      if (left === 0) break;
      const noiseScale = settings.choiceTemperature * (1 - step / steps);
      const uniforms = numbers(batch * masked[0].length);
      masked = masked.map((places, row) => {
        const own = (count) => uniforms.subarray(row * count, (row + 1) * count);
        return leastConfident(places, drawn[row].map((one) => one.probability), left, noiseScale, own);
      });
      masked.forEach((places, row) => places.forEach((place) => (codes[row][place] = codebookSize)));
    }
    return codes;
  }
  const orders = drawnOrders(settings.order, batch, settings.grid, numbers).map((order, row) => {
    const wanted = new Set(open[row]);
    return order.filter((place) => wanted.has(place));
  });
  const size = orders[0].length;
  let done = 0;
  for (let step = 1; step <= steps; step++) {
    const after = size - Math.floor(size * maskRatio(step / steps));
    const places = orders.map((order) => order.slice(done, after));
    if (places[0].length === 0) continue;
    const drawn = draw(await guided((step - 1) / steps), places, numbers(batch * places[0].length));
    places.forEach((row, index) => row.forEach((place, at) => (codes[index][place] = drawn[index][at].code)));
    done = after;
  }
  return codes;
}
