"""Measures the characters per second of a page that holds its model, in Chromium, beside `pycharrnn sample`.

    python benchmarks/page_speed.py [-length 5000] [-repeats 5]

The model has char-rnn's default size, a 2x128 lstm over 65 characters, with random weights. The page asks its worker
for a sample with eight candidates for each character, as the pages of `pycharrnn convert` do. Also measures the longest
time that the page did not respond. On a busy machine, take the best rates of short samples and many repeats. Needs
selenium, Chromium and its driver.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import tempfile
from pathlib import Path

import arguments
from sampling import model, one_stream

from pycharrnn.checkpoints import payload
from pycharrnn.page import facts
from pycharrnn.page.bundle import bundle
from pycharrnn.page.page_files import page_files

CANDIDATES = 8
# Of an async function that is given payload, length, repeats and candidates.
_MEASURE = """
  const address = URL.createObjectURL(new Blob([document.getElementById("worker").textContent]));
  const source = new $file_source_js.FileSource([payload], () => new Worker(address));
  let [still, last, over] = [0, performance.now(), false];
  const look = () => {
    still = Math.max(still, performance.now() - last);
    last = performance.now();
    if (!over) setTimeout(look);
  };
  const sample = async (length, seed) => {
    const how = { model: payload.facts.id, primetext: "", temperature: 1, topk: 0, topp: 1, length, seed, candidates };
    const start = performance.now();
    let count = 0;
    for await (const items of source.sample(how, new AbortController().signal)) count += items.length;
    return (1000 * count) / (performance.now() - start);
  };
  await sample(1000, 0); // the browser compiles what runs often
  look();
  const rates = [];
  for (let k = 1; k <= repeats; k++) rates.push(await sample(length, k));
  over = true;
  return { rates, still };
"""


def page_of(folder: Path) -> Path:
    """A page with nothing but a source of models and its worker."""
    files = {name: content.decode() for name, content in page_files().items()}
    path = folder / "page.html"
    path.write_text(
        f"<!DOCTYPE html><script>{bundle('file_source.js', files)}</script>"
        f'<script type="text/plain" id="worker">{bundle("worker.js", files)}</script>'
    )
    return path


def in_chromium(length: int, repeats: int) -> dict:
    """{"rates": characters a second of each sample, "still": milliseconds}"""
    loaded = model()
    shown = {**payload.encode(loaded), "facts": dataclasses.asdict(facts.facts_of(loaded, "model", 0))}
    from selenium import webdriver  # --help needs none

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            browser.set_script_timeout(600)
            browser.get(page_of(Path(folder)).as_uri())
            function = f"async ([payload, length, repeats, candidates]) => {{ {_MEASURE} }}"
            code = f"const done = arguments[1]; ({function})(arguments[0]).then(done, (e) => done(`${{e.stack}}`))"
            found = browser.execute_async_script(code, [shown, length, repeats, CANDIDATES])
        finally:
            browser.quit()
    if not isinstance(found, dict):
        raise SystemExit(found)
    return found


def figures(length: int = 5000, repeats: int = 5) -> dict:
    """What main prints."""
    found = in_chromium(length, repeats)
    loaded = model()
    page, sampler = found["rates"], [one_stream(loaded, length) for _ in range(repeats)]
    return {
        "page, characters/s": statistics.median(page),
        "pycharrnn sample, characters/s": statistics.median(sampler),
        "ratio": statistics.median(page) / statistics.median(sampler),
        "page at best, characters/s": max(page),
        "pycharrnn sample at best, characters/s": max(sampler),
        "page stood still, ms": found["still"],
    }


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("-length", type=int, default=5000)
    parser.add_argument("-repeats", type=int, default=5)
    parser.add_argument("-json", action="store_true")
    args = parser.parse_args()
    found = figures(args.length, args.repeats)
    if args.json:
        print(json.dumps(found))
        return
    for what, value in found.items():
        print(f"{what:40} {value:10,.2f}")


if __name__ == "__main__":
    main()
