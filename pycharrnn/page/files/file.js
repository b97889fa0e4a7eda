// Entry point of the page that is a file: it holds its models and the script of the worker.

import { FileSource } from "./file_source.js";
import { start } from "./page.js";

const payloads = [...document.querySelectorAll("script.model")].map((element) => JSON.parse(element.textContent));
const script = new Blob([document.getElementById("worker").textContent], { type: "text/javascript" });
const url = URL.createObjectURL(script);

start(new FileSource(payloads, () => new Worker(url)));
