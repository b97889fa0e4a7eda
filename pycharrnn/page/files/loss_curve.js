// Draws training and validation losses over epochs as SVG, with a caption that states them.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44; // margins for the axis labels, in CSS pixels
const BOTTOM = 38;
const TOP = 10;
const RIGHT = 14;
const [X_GAP, Y_GAP] = [45, 28]; // minimum distance between ticks

const drawn = new WeakMap(); // figure -> losses, to draw again when the figure gets another width
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => redraw(target)));

// figure: has an <svg> and a <figcaption>. losses: {train, val, epochs_per_iteration, window}.
export function showLosses(figure, losses) {
  drawn.set(figure, losses);
  sizes.observe(figure);
  const unit = losses.epochs_per_iteration || 1;
  const [train, val] = [losses.train, losses.val].map((series) => points(series, unit));
  const all = [...train, ...val];
  figure.hidden = !all.length;
  if (!all.length) return;
  const svg = figure.querySelector("svg");
  const width = widthOf(svg);
  const height = Math.round(Math.min(Math.max(0.6 * width, 150), 260));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  const x = scale(0, Math.max(...all.map((p) => p.x)), LEFT, width - RIGHT, X_GAP);
  const [low, high] = [Math.min(...all.map((p) => p.y)), Math.max(...all.map((p) => p.y))];
  const y = scale(low, high > low ? high : low + 1, height - BOTTOM, TOP, Y_GAP);
  const best = val.reduce((min, p) => (min && min.y <= p.y ? min : p), null);
  svg.replaceChildren(
    ...axes(x, y, width, height, losses.epochs_per_iteration ? "epoch" : "iteration"),
    ...curve(train, x, y, "train"),
    ...curve(val, x, y, "val"),
    ...(val.length <= 40 ? val : []).map((p) => element("circle", { class: "val", cx: x(p.x), cy: y(p.y), r: 2.5 })),
    ...(best ? [element("circle", { class: "best", cx: x(best.x), cy: y(best.y), r: 5 })] : []),
  );
  figure.querySelector("figcaption").textContent = caption(train, val, best, losses);
}

// A figure that was hidden when it was drawn had no width; it gets one when it is shown.
function redraw(figure) {
  const svg = figure.querySelector("svg");
  if (svg.clientWidth && svg.viewBox.baseVal?.width !== widthOf(svg)) showLosses(figure, drawn.get(figure));
}

function widthOf(svg) {
  return Math.max(svg.clientWidth, 200);
}

function points({ iterations, losses }, unit) {
  return iterations.map((i, k) => ({ x: i * unit, y: losses[k] }));
}

// A linear function from [low, high] to [from, to]. Its `ticks` are round numbers, at least `gap` apart.
function scale(low, high, from, to, gap) {
  const map = (value) => Math.round(10 * (from + ((value - low) / (high - low || 1)) * (to - from))) / 10;
  const rough = (high - low || 1) / Math.max(2, Math.abs(to - from) / gap);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  map.ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) map.ticks.push(Number((k * step).toPrecision(12)));
  return map;
}

function axes(x, y, width, height, unit) {
  const parts = [];
  for (const tick of y.ticks) {
    // That of a run that diverges may have ten digits, which the margin has no room for.
    const loss = tick < 1e4 ? tick : tick.toExponential().replace("+", "");
    parts.push(
      element("path", { class: "grid", d: `M${LEFT} ${y(tick)}H${width - RIGHT}` }),
      element("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, loss),
    );
  }
  for (const tick of x.ticks) {
    parts.push(
      element("path", { class: "axis", d: `M${x(tick)} ${height - BOTTOM}v4` }),
      element("text", { x: x(tick), y: height - BOTTOM + 17, "text-anchor": "middle" }, tick),
    );
  }
  return [
    ...parts,
    element("path", { class: "axis", d: `M${LEFT} ${TOP}V${height - BOTTOM}H${width - RIGHT}` }),
    element("text", { x: (LEFT + width - RIGHT) / 2, y: height - 4, "text-anchor": "middle" }, unit),
  ];
}

function curve(series, x, y, name) {
  if (series.length === 1) return [element("circle", { class: name, cx: x(series[0].x), cy: y(series[0].y), r: 2.5 })];
  if (!series.length) return [];
  const line = series.map((p) => `${x(p.x)} ${y(p.y)}`).join("L");
  return [element("path", { class: name, d: `M${line}` })];
}

function element(name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

function caption(train, val, best, losses) {
  const when = (p) => (losses.epochs_per_iteration ? `epoch ${p.x.toFixed(2)}` : `iteration ${p.x}`);
  const words = [];
  if (val.length) {
    const last = val.at(-1);
    words.push(`Validation loss ${last.y.toFixed(4)} after ${when(last)}`);
    const lowest = `; the lowest is ${best.y.toFixed(4)} after ${when(best)}`;
    if (val.length > 1) words[0] += best === last ? `, the lowest of ${val.length}` : lowest;
  }
  if (train.length) {
    const last = train.at(-1);
    const of = losses.window > 1 ? `the mean of ${losses.window} iterations` : "of one batch";
    words.push(`Training loss ${last.y.toFixed(4)} after ${when(last)}, ${of}`);
  }
  return `${words.join(". ")}. In nats per character.`;
}
