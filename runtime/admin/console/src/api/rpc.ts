// Calls of the admin API by the Connect protocol with JSON (connectrpc.com/docs/protocol):
// a unary call is a POST of JSON; a stream is a POST whose answer is a row of envelopes,
// each one byte of flags and four of length before its JSON.

/** Codes that a call ends with, besides those of Connect. */
export type Code = "unauthenticated" | "permission_denied" | "not_found" | "unimplemented" | "unavailable" | "unreachable" | "failed_precondition" | (string & {});

/** What went wrong with a call, in the server's words where it said any. */
export class CallError extends Error {
  constructor(readonly code: Code, message: string) {
    super(message);
  }
}

const tokenKey = "weft.token";
const refused = new Set<() => void>();

/** The token lives as long as this tab and is in no URL. */
export const token = {
  get: () => sessionStorage.getItem(tokenKey) ?? "",
  set: (text: string) => (text ? sessionStorage.setItem(tokenKey, text) : sessionStorage.removeItem(tokenKey)),
};

/** Calls back whenever the API wants another credential. */
export function onRefused(then: () => void): () => void {
  refused.add(then);
  return () => refused.delete(then);
}

function headers(kind: string): Record<string, string> {
  const all: Record<string, string> = { "Content-Type": kind, "Connect-Protocol-Version": "1" };
  if (token.get()) all.Authorization = `Bearer ${token.get()}`;
  return all;
}

async function post(method: string, kind: string, body: BodyInit, signal?: AbortSignal): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(`/weft.v1.${method}`, { method: "POST", headers: headers(kind), body, signal, cache: "no-store", credentials: "same-origin", redirect: "error" });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new CallError("unreachable", "weft does not answer. It may have ended, or the way to it is cut; this page tries again by itself.");
  }
  if (answer.status === 401) refused.forEach((then) => then());
  return answer;
}

const byStatus: Record<number, Code> = { 401: "unauthenticated", 403: "permission_denied", 404: "unimplemented", 415: "unimplemented", 429: "resource_exhausted", 503: "unavailable" };

async function failure(answer: Response): Promise<CallError> {
  const text = await answer.text().catch(() => "");
  try {
    const said = JSON.parse(text) as { code?: string; message?: string };
    if (said.code) return new CallError(said.code, said.message ?? said.code);
  } catch {
    // Not in the words of the protocol.
  }
  if (answer.status === 404) return new CallError("unimplemented", "This weft does not serve that: nothing in its configuration needs it, or it is an older one.");
  return new CallError(byStatus[answer.status] ?? "unknown", text.trim().slice(0, 500) || `HTTP ${answer.status}`);
}

/** Calls SERVICE/METHOD and returns its answer. Throws CallError. */
export async function call<T>(method: string, message: object = {}, signal?: AbortSignal): Promise<T> {
  const answer = await post(method, "application/json", JSON.stringify(message), signal);
  if (!answer.ok) throw await failure(answer);
  return (await answer.json()) as T;
}

const endFlag = 2;
const headerBytes = 5;
const maxEnvelope = 32 << 20;

function envelope(message: object): Uint8Array<ArrayBuffer> {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const all = new Uint8Array(headerBytes + body.length);
  new DataView(all.buffer).setUint32(1, body.length);
  all.set(body, headerBytes);
  return all;
}

/** Cuts what arrives into envelopes. */
class Cutter {
  private rest = new Uint8Array(0);

  *push(chunk: Uint8Array): Generator<{ flags: number; text: string }> {
    const all = new Uint8Array(this.rest.length + chunk.length);
    all.set(this.rest);
    all.set(chunk, this.rest.length);
    let at = 0;
    const view = new DataView(all.buffer);
    while (all.length - at >= headerBytes) {
      const size = view.getUint32(at + 1);
      if (size > maxEnvelope) throw new CallError("internal", `an answer of ${size} bytes`);
      if (all.length - at < headerBytes + size) break;
      const body = all.subarray(at + headerBytes, at + headerBytes + size);
      yield { flags: all[at]!, text: new TextDecoder().decode(body) };
      at += headerBytes + size;
    }
    this.rest = all.slice(at);
  }
}

/** Calls a method that answers with a stream, one message after the other. Ends with the
 * stream or the signal; throws CallError. */
export async function stream<T>(method: string, message: object, signal: AbortSignal, each: (message: T) => void): Promise<void> {
  const answer = await post(method, "application/connect+json", envelope(message), signal);
  if (!answer.ok) throw await failure(answer);
  const reader = answer.body!.getReader();
  const cutter = new Cutter();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new CallError("unavailable", "The stream was cut off.");
      for (const { flags, text } of cutter.push(value)) {
        if (flags & endFlag) {
          const end = JSON.parse(text) as { error?: { code: string; message?: string } };
          if (end.error) throw new CallError(end.error.code, end.error.message ?? end.error.code);
          return;
        }
        each(JSON.parse(text) as T);
      }
    }
  } catch (cause) {
    if (cause instanceof CallError || signal.aborted) throw cause;
    throw new CallError("unreachable", "The connection to weft was cut.");
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
