// Slows down the additions to a text for users who prefer reduced motion.

const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");
const PERIOD = 1000; // milliseconds between additions

// Yields the items of some lists: each list by itself, or with reduced motion those of a period together.
export async function* paced(lists) {
  const held = [];
  let last = performance.now();
  for await (const items of lists) {
    held.push(...items);
    if (!held.length || (REDUCED.matches && performance.now() - last < PERIOD)) continue;
    yield held.splice(0);
    last = performance.now();
  }
  if (held.length) yield held;
}
