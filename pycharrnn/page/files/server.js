// Entry point of the page of `pycharrnn serve`.

import { start } from "./page.js";
import { ServerSource } from "./server_source.js";

start(new ServerSource());
