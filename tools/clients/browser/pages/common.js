// What a page finds is posted to the test that opened it.
const parameters = new URLSearchParams(location.search);
const log = [];

function note(text) { log.push(text); }

function report(ok) {
  return fetch('/result', { method: 'POST', body: JSON.stringify({ ok, log }) });
}

// run runs the steps of a page and reports how it went.
function run(steps) {
  const late = setTimeout(() => { note('the page took too long'); report(false); }, 60000);
  steps().then(() => { clearTimeout(late); return report(true); },
    (error) => { clearTimeout(late); note(String(error && error.stack || error)); return report(false); });
}

function expect(got, want, what) {
  const a = JSON.stringify(got), b = JSON.stringify(want);
  if (a !== b) throw new Error(`${what}: ${a}, want ${b}`);
  note(`${what}: ${a.slice(0, 100)}`);
}

// Socket is a WebSocket whose events can be awaited one after another.
class Socket {
  constructor(url, protocols) {
    this.events = [];
    this.waiting = [];
    this.socket = new WebSocket(url, protocols);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => this.put({ open: this.socket.protocol });
    this.socket.onmessage = (e) => this.put({ message: typeof e.data === 'string' ? e.data : Array.from(new Uint8Array(e.data)) });
    this.socket.onclose = (e) => this.put({ close: e.code, reason: e.reason });
  }
  put(event) {
    const next = this.waiting.shift();
    if (next) next(event); else this.events.push(event);
  }
  next() {
    if (this.events.length > 0) return Promise.resolve(this.events.shift());
    return new Promise((done) => this.waiting.push(done));
  }
  send(data) { this.socket.send(data); }
}
