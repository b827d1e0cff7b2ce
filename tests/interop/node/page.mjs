// Runs the page of docs/howto/reconnecting.rst in jsdom, with the SockJS client of Node and the built
// reconnecting client. Tells what the page shows: one JSON object per line.
// The argument is a job as JSON:
//   modules     the folder whose node_modules hold the packages
//   html        the page
//   script      the path of its module
//   transport   the only one that SockJS may use
//   texts       what the user writes, one every few milliseconds
//   stored      what the last page of this tab left in sessionStorage
//   leave       end when all is written, whether it was delivered or not
//   limit       seconds after which the process ends, whatever happens

import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const job = JSON.parse(process.argv[2]);
const fromModules = createRequire(path.join(job.modules, "index.js"));
const tell = (event, details) => console.log(JSON.stringify({ event, ...details }));

setTimeout(() => {
  tell("limit", { status: status(), stored: stored(), texts: texts() });
  process.exit(3);
}, job.limit * 1000).unref();

// Before there is a window: SockJS chooses its parts when it is loaded.
const SockJS = fromModules("sockjs-client");
const { JSDOM } = fromModules("jsdom");

const { window } = new JSDOM(job.html, { url: "http://127.0.0.1/" });
const { document, sessionStorage } = window;
const KEY = "sockjs-outbox";
const stored = () => JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
const texts = () => [...document.querySelectorAll("#list li")].map((item) => item.textContent);
const status = () => document.getElementById("status").textContent;
// jsdom has none, and SockJS takes that for a page of no origin, which may not use XHR.
Object.defineProperty(document, "domain", { value: window.location.hostname });
if (job.stored.length) sessionStorage.setItem(KEY, JSON.stringify(job.stored));

const globals = {
  document,
  sessionStorage,
  SockJS: function (url, protocols, options) {
    return new SockJS(url, protocols, { ...options, transports: [job.transport] });
  },
};
// Some releases of Node have a sessionStorage of their own.
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value });
}

let shown;
new window.MutationObserver(() => {
  if (shown === status()) return;
  shown = status();
  tell("status", { status: shown });
}).observe(document.getElementById("status"), { childList: true });
new window.MutationObserver(() => tell("list", { length: texts().length })).observe(
  document.getElementById("list"),
  { childList: true },
);

await import(pathToFileURL(job.script).href);

const writing = [...job.texts];
const poll = setInterval(() => {
  if (writing.length) {
    document.getElementById("text").value = writing.shift();
    const submit = new window.Event("submit", { cancelable: true });
    document.getElementById("add").dispatchEvent(submit);
    return;
  }
  if (job.leave || !stored().length) {
    clearInterval(poll);
    tell("done", { texts: texts(), stored: stored() });
    process.exit(0);
  }
}, 5);
