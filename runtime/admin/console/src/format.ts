// Numbers, times and bytes as people read them.

/** Reads what protobuf's JSON has for a 64-bit number: a string; absent is 0. */
export const num = (v: string | number | undefined | null): number => (v == null ? 0 : Number(v));

const group = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 1,234,567 */
export const whole = (n: number): string => group.format(n);

/** At most four characters and a sign of magnitude: 0, 0.42, 9.5, 812, 12.4k, 3.1M. */
export function short(n: number): string {
  const size = Math.abs(n);
  if (!Number.isFinite(n)) return "–";
  if (size === 0) return "0";
  if (size < 0.01) return "<0.01";
  if (size < 1) return trim(n.toFixed(2));
  if (size < 9.95) return trim(n.toFixed(1));
  if (size < 999.5) return n.toFixed(0);
  for (const [limit, unit] of [[1e6, "k"], [1e9, "M"], [1e12, "G"], [1e15, "T"]] as const) {
    if (size < limit * 0.9995) {
      const v = n / (limit / 1000);
      return trim(Math.abs(v) < 99.95 ? v.toFixed(1) : v.toFixed(0)) + unit;
    }
  }
  return n.toExponential(1);
}

const trim = (s: string): string => (s.includes(".") ? s.replace(/\.?0+$/, "") : s);

/** Bytes by powers of 1,024: 512 B, 1.5 KiB. */
export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(n) >= 1023.5 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit === 0 || Math.abs(n) >= 99.95 ? n.toFixed(0) : trim(n.toFixed(1))} ${units[unit]}`;
}

/** Seconds as the unit that fits: 850 ns, 12 µs, 3.4 ms, 1.2 s, 3 min, 2 h, 5 d. */
export function span(s: number): string {
  if (!Number.isFinite(s)) return "–";
  const size = Math.abs(s);
  if (size === 0) return "0";
  if (size < 0.9995e-6) return `${(s * 1e9).toFixed(0)} ns`;
  if (size < 0.9995e-3) return `${digits(s * 1e6)} µs`;
  if (size < 0.9995) return `${digits(s * 1e3)} ms`;
  if (size < 120) return `${digits(s)} s`;
  if (size < 7200) return `${Math.round(s / 60)} min`;
  if (size < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

const digits = (n: number): string => (Math.abs(n) < 9.95 ? trim(n.toFixed(1)) : n.toFixed(0));

/** Reads protobuf's JSON of a duration, "0.000012s", as seconds. */
export const seconds = (d: string | undefined): number => (d ? Number(d.replace(/s$/, "")) : 0);

/** A share between 0 and 1: 0%, 0.03%, 12%. */
export function share(n: number): string {
  const p = n * 100;
  if (!Number.isFinite(p)) return "–";
  if (p === 0) return "0%";
  if (p < 0.01) return "<0.01%";
  return `${p < 9.95 ? trim(p.toFixed(p < 0.995 ? 2 : 1)) : p > 99.95 && p < 100 ? ">99.9" : p > 99 && p < 100 ? p.toFixed(1) : p.toFixed(0)}%`;
}

/** Reads protobuf's JSON of a timestamp as milliseconds; 0 if there is none. */
export const moment = (t: string | undefined): number => (t ? Date.parse(t) : 0);

/** The time of the day, with milliseconds if asked. */
export function clock(ms: number, fine = false): string {
  if (!ms) return "–";
  const d = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${fine ? `.${String(d.getMilliseconds()).padStart(3, "0")}` : ""}`;
}

/** How long ago: "just now", "12 s ago", "3 min ago". */
export function ago(ms: number, now = Date.now()): string {
  if (!ms) return "never";
  const s = (now - ms) / 1000;
  return s < 2 ? "just now" : `${span(Math.floor(s))} ago`;
}

/** A word in its number: 1 message, 2 messages. */
export const count = (n: number, one: string, many = `${one}s`): string => `${whole(n)} ${n === 1 ? one : many}`;

/** The first characters of a hash. */
export const hash = (sha256: string | undefined): string => (sha256 ?? "").slice(0, 8);

/** Base64 as text, where it is text; else as hexadecimal digits. */
export function payload(base64: string | undefined): { text: string; binary: boolean } {
  if (!base64) return { text: "", binary: false };
  const raw = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(raw);
    if (!/[\u0000-\u0008\u000e-\u001f\u007f]/.test(text)) return { text, binary: false };
  } catch {
    // Bytes.
  }
  return { text: Array.from(raw, (b) => b.toString(16).padStart(2, "0")).join(" "), binary: true };
}
