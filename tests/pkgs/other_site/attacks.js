// What another site's page can try with the cookies of its visitor. Each attack returns what the
// page came to know; whatever it does not hear, the server's side of the test sees.
"use strict";

function id() {
  return Math.random().toString(36).slice(2, 12);
}

function withQuery(base, path, more = "") {
  const [url, query] = base.split("?");
  return url + path + "?" + query + more;
}

function element(name, attributes) {
  const node = document.createElement(name);
  Object.assign(node, attributes);
  document.body.append(node);
  return node;
}

function socket(url) {
  return new Promise((resolve) => {
    const ws = new WebSocket(url.replace("http", "ws"));
    ws.onopen = () => ws.send('["injected"]');
    ws.onmessage = (event) => resolve("read " + event.data);
    ws.onclose = (event) => resolve("closed " + event.code);
  });
}

// The client asks for /info first, which it is not allowed to read: it gets another site's.
window.ownInfo = false;
const open = XMLHttpRequest.prototype.open;
XMLHttpRequest.prototype.open = function (method, url, ...more) {
  return open.call(this, method, window.ownInfo && url.includes("/info") ? "/info" : url, ...more);
};

function client(base, transport) {
  return new Promise((resolve) => {
    // What the client gives up after some round trips, a busy machine may be slower with.
    const sock = new SockJS(base, null, { transports: [transport], timeout: 20000 });
    sock.onopen = () => sock.send("hello");
    sock.onmessage = (event) => {
      resolve("read " + sock.transport + " " + event.data);
      sock.close();
    };
    sock.onclose = (event) => resolve("closed " + event.code);
  });
}

async function read(url, options = {}) {
  try {
    const response = await fetch(url, { credentials: "include", ...options });
    if (response.type === "opaque") {
      return "opaque";
    }
    const { value } = await response.body.getReader().read();
    return "read " + new TextDecoder().decode(value);
  } catch (error) {
    return error.name;
  }
}

function events(url) {
  return new Promise((resolve) => {
    const source = new EventSource(url, { withCredentials: true });
    source.onmessage = (event) => resolve("read " + event.data);
    source.onerror = () => {
      source.close();
      resolve("error");
    };
  });
}

function script(url, policy) {
  return new Promise((resolve) => {
    window.stolen = (text) => resolve("read " + text);
    element("script", {
      referrerPolicy: policy,
      src: url,
      onload: () => resolve("loaded"),
      onerror: () => resolve("error"),
    });
  });
}

function frame(url, policy) {
  const heard = (text = "a call") => { window.heard = text; };
  window.stolen = { start: heard, message: heard, stop: heard };
  element("iframe", { referrerPolicy: policy, src: url, hidden: true });
  return "started";
}

function form(url, encoding, policy) {
  const name = id();
  element("iframe", { name, hidden: true });
  const node = element("form", { method: "post", action: url, target: name, enctype: encoding });
  if (policy) {
    // A form follows the policy of its page.
    const meta = document.createElement("meta");
    meta.name = "referrer";
    meta.content = policy;
    document.head.append(meta);
  }
  // text/plain of this name and value is valid JSON.
  const [key, value] = encoding === "text/plain" ? ['["injected', '"]'] : ["d", '["injected"]'];
  const input = document.createElement("input");
  [input.name, input.value] = [key, value];
  node.append(input);
  node.submit();
  return "started";
}

const TEXT = { method: "POST", body: '["injected"]' };
const SILENT = { referrerPolicy: "no-referrer" };

window.attacks = {
  "WebSocket": (base) => socket(withQuery(base, `/000/${id()}/websocket`)),
  "raw WebSocket": (base) => socket(withQuery(base, "/websocket")),
  "WebSocket to the base": (base) => socket(base),
  "info": (base) => read(withQuery(base, "/info")),
  "fetch xhr": (base) => read(withQuery(base, `/000/${id()}/xhr`), TEXT),
  "fetch xhr_streaming": (base) => read(withQuery(base, `/000/${id()}/xhr_streaming`), TEXT),
  "fetch xhr, stolen": (base, stolen) => read(withQuery(base, `/000/${stolen}/xhr`), TEXT),
  "fetch xhr_streaming, stolen":
    (base, stolen) => read(withQuery(base, `/000/${stolen}/xhr_streaming`), TEXT),
  "fetch xhr_send, stolen":
    (base, stolen) => read(withQuery(base, `/000/${stolen}/xhr_send`), TEXT),
  "fetch without CORS, stolen":
    (base, stolen) => read(withQuery(base, `/000/${stolen}/xhr_send`), { ...TEXT, mode: "no-cors" }),
  "fetch without CORS and referrer, stolen": (base, stolen) =>
    read(withQuery(base, `/000/${stolen}/xhr_send`), { ...TEXT, ...SILENT, mode: "no-cors" }),
  "poll without CORS and referrer, stolen": (base, stolen) =>
    read(withQuery(base, `/000/${stolen}/xhr`), { ...TEXT, ...SILENT, mode: "no-cors" }),
  "EventSource": (base) => events(withQuery(base, `/000/${id()}/eventsource`)),
  "EventSource, stolen": (base, stolen) => events(withQuery(base, `/000/${stolen}/eventsource`)),
  "script jsonp": (base) => script(withQuery(base, `/000/${id()}/jsonp`, "&c=stolen")),
  "script jsonp, stolen":
    (base, stolen) => script(withQuery(base, `/000/${stolen}/jsonp`, "&c=stolen")),
  "frame htmlfile": (base) => frame(withQuery(base, `/000/${id()}/htmlfile`, "&c=stolen")),
  "frame htmlfile, stolen":
    (base, stolen) => frame(withQuery(base, `/000/${stolen}/htmlfile`, "&c=stolen")),
  "frame iframe.html": (base) => frame(withQuery(base, "/iframe.html")),
  "form jsonp_send, stolen": (base, stolen) =>
    form(withQuery(base, `/000/${stolen}/jsonp_send`), "application/x-www-form-urlencoded"),
  "form xhr_send, stolen":
    (base, stolen) => form(withQuery(base, `/000/${stolen}/xhr_send`), "text/plain"),
  "form without referrer, stolen": (base, stolen) =>
    form(withQuery(base, `/000/${stolen}/xhr_send`), "text/plain", "no-referrer"),
  // A GET with neither Origin nor Referer.
  "silent frame htmlfile":
    (base) => frame(withQuery(base, `/000/${id()}/htmlfile`, "&c=stolen"), "no-referrer"),
  "silent frame eventsource":
    (base) => frame(withQuery(base, `/000/${id()}/eventsource`), "no-referrer"),
  "silent script jsonp":
    (base) => script(withQuery(base, `/000/${id()}/jsonp`, "&c=stolen"), "no-referrer"),
  "silent frame htmlfile, stolen": (base, stolen) =>
    frame(withQuery(base, `/000/${stolen}/htmlfile`, "&c=stolen"), "no-referrer"),
};
for (const transport of [
  "websocket", "xhr-streaming", "xhr-polling", "eventsource", "jsonp-polling",
  "iframe-eventsource", "iframe-htmlfile", "iframe-xhr-polling",
]) {
  window.attacks[`SockJS ${transport}`] = (base) => {
    window.ownInfo = true;
    return client(base, transport);
  };
}
window.client = client;
