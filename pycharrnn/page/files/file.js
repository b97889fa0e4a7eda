// The page that is a file: it holds its models, and the worker that computes with them.

import { FileSource } from "./file_source.js";
import { start } from "./page.js";

const payloads = [...document.querySelectorAll("script.model")].map((element) => JSON.parse(element.textContent));
const program = new Blob([document.getElementById("worker").textContent], { type: "text/javascript" });
const address = URL.createObjectURL(program);

start(new FileSource(payloads, () => new Worker(address)));
