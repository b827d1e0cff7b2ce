// Runs the page of docs/howto/reconnecting.rst in jsdom, with the built client and the network of Node.
// Tells what the page shows: one JSON object per line.
// The argument is a job as JSON:
//   modules     the folder whose node_modules hold the packages
//   html        the page
//   script      the path of its module
//   texts       what the user writes, one every few milliseconds
//   stored      what the last page of this tab left in sessionStorage: names and values
//   leave       end when all is written, whether it was delivered or not
//   limit       seconds after which the process ends, whatever happens

import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const job = JSON.parse(process.argv[2]);
const fromModules = createRequire(path.join(job.modules, "index.js"));
const tell = (event, details) => console.log(JSON.stringify({ event, ...details }));

setTimeout(() => {
  tell("limit", { status: status(), texts: texts() });
  process.exit(3);
}, job.limit * 1000).unref();

const { JSDOM } = fromModules("jsdom");
const { window } = new JSDOM(job.html, { url: "http://127.0.0.1/" });
const { document, sessionStorage } = window;
const items = () => [...document.querySelectorAll("#list li")].map((item) => item.textContent);
// Those that the server has told.
const texts = () => items().filter((text) => !text.endsWith(" …"));
const status = () => document.getElementById("status").textContent;
for (const [name, value] of Object.entries(job.stored)) sessionStorage.setItem(name, value);

const globals = {
  document,
  sessionStorage,
  addEventListener: window.addEventListener.bind(window),
  removeEventListener: window.removeEventListener.bind(window),
};
// Some releases of Node have some of their own.
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value });
}

let shown;
new window.MutationObserver(() => {
  if (shown === status()) return;
  shown = status();
  tell("status", { status: shown });
}).observe(document.getElementById("status"), { childList: true });
const everything = { childList: true, subtree: true, characterData: true };
new window.MutationObserver(() => tell("list", { length: texts().length })).observe(
  document.getElementById("list"),
  everything,
);

await import(pathToFileURL(job.script).href);

const writing = [...job.texts];
const poll = setInterval(() => {
  if (writing.length) {
    document.getElementById("text").value = writing.shift();
    const submit = new window.Event("submit", { cancelable: true });
    document.getElementById("add").dispatchEvent(submit);
  } else if (job.leave || texts().length === items().length) {
    clearInterval(poll);
    window.dispatchEvent(new window.Event("pagehide"));
    tell("done", { texts: texts(), stored: { ...sessionStorage } });
    process.exit(0);
  }
}, 5);
