// Sends numbers by a client that speaks SockJS, and takes down when each one comes back.
//
// The query says how:
//   page      under which name the server is to know this page
//   endpoint  its URL, from here
//   client    a key of CLIENTS
//   module    the URL of the client's module, from here
//   count     of the numbers
//   pace      ms between two of them
//   pause     ms that the second half waits, unless goOn() is called before; or nothing

const query = Object.fromEntries(new URLSearchParams(location.search));
const page = query.page;
const endpoint = new URL(query.endpoint, location.href).href;
const count = Number(query.count);
const pace = Number(query.pace);

/** What there is to tell; times in ms from the call of connect(). */
const report = {
  transport: "",
  // How often a connection opened, and when the first did.
  opened: 0,
  connected: null,
  // When the first number came back, and all had.
  first: null,
  finished: null,
  // The longest time without any number while one was to come, from the first one on.
  longest: 0,
  received: [],
  sent: 0,
  // What the client said of an end that is final.
  ended: "",
};
const missing = new Set(Array.from({ length: count }, (_, index) => index + 1));
// When each number was given to the client.
const sentAt = new Map();
let oldest = 1;
let beganAt = 0;
let heardAt = 0;
let goesOn = !query.pause;

const now = () => performance.now() - beganAt;
const silence = () => now() - Math.max(heardAt, sentAt.get(oldest) ?? Infinity);

function opened(transport) {
  report.opened += 1;
  report.connected ??= now();
  report.transport = transport;
}

function heard(number) {
  if (report.first === null) report.first = now();
  else report.longest = Math.max(report.longest, silence());
  heardAt = now();
  report.received.push(number);
  missing.delete(number);
  while (oldest <= count && !missing.has(oldest)) oldest += 1;
  if (!missing.size) report.finished ??= heardAt;
}

function goOn() {
  goesOn = true;
}

/** Sends number after number by a function, once it is called, at the pace that is asked for. */
function begin(send) {
  const next = () => {
    if (report.ended || report.sent === count) {
      clearInterval(timer);
    } else if (goesOn || report.sent < count / 2) {
      report.sent += 1;
      sentAt.set(report.sent, now());
      if (!goesOn && report.sent >= count / 2) setTimeout(goOn, Number(query.pause));
      send(report.sent);
    }
  };
  const timer = setInterval(next, pace);
  next();
}

const CLIENTS = {
  // The stock client: it has nothing for when a connection ends.
  stock() {
    const sock = new SockJS(endpoint);
    sock.onopen = () => {
      opened(sock.transport);
      begin((number) => sock.send(JSON.stringify({ page, number })));
    };
    sock.onmessage = ({ data }) => heard(JSON.parse(data).number);
    sock.onclose = ({ code, reason }) => (report.ended = `${code} ${reason}`);
  },

  // A client whose sessions survive: there is nothing to do by hand.
  resumable({ ReconnectingSockJS }) {
    const sock = new ReconnectingSockJS(endpoint);
    sock.addEventListener("open", () => opened(sock.transport));
    sock.addEventListener("resumed", () => opened(sock.transport));
    sock.addEventListener("message", ({ detail }) => {
      // A better one may have taken over.
      report.transport = sock.transport;
      heard(JSON.parse(detail).number);
    });
    for (const type of ["denied", "stopped"]) {
      sock.addEventListener(type, ({ detail }) => {
        report.ended = `${type} ${JSON.stringify(detail)}`;
      });
    }
    sock.connect();
    begin((number) => sock.send(JSON.stringify({ page, number })));
  },
};

window.goOn = goOn;
window.report = () => ({
  ...report,
  silence: missing.size && report.first !== null ? Math.max(0, silence()) : 0,
  // Since anything went or came, where something is to come.
  quiet: goesOn ? Math.max(0, now() - Math.max(heardAt, sentAt.get(report.sent) ?? Infinity)) : 0,
});

// Something for a proxy to strip.
document.cookie = "visited=yes; SameSite=Lax";
const module = query.module ? await import(new URL(query.module, location.href).href) : null;
beganAt = performance.now();
CLIENTS[query.client](module);
