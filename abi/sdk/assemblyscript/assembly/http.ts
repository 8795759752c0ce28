import * as abi from "./abi";
import { take } from "./arena";
import { Attributes, add, find, valueAt } from "./attributes";
import { Bytes, place, placedAt, placedLength } from "./bytes";
import { Status } from "./host";

@external("weft", "http_send") declare function host_http_send(method: usize, methodLength: u32, url: usize, urlLength: u32, header: usize, headerLength: u32, body: usize, bodyLength: u32, deadline: i64): i64;

/**
 * An HTTP request, with the operator's grant `http`, which names the hosts. It
 * takes its time: `send` gives a token at once, the message pauses for it, and
 * comes back to `resume` with the answer.
 */
@unmanaged
export class Request {
  private method: usize;
  private methodLength: u32;
  private url: usize;
  private urlLength: u32;
  private fields: usize; // a span: its address, then its length
  private fieldsLength: u32;
  private content: usize;
  private contentLength: u32;
  private within: i64;
  private bad: bool;

  /** A request without a header or a body, for this hook only. Its URL is absolute and ASCII. */
  static of<M, U>(method: M, url: U): Request {
    const r = changetype<Request>(take(offsetof<Request>(), 8));
    memory.fill(changetype<usize>(r), 0, offsetof<Request>());
    place<M>(method);
    r.method = placedAt;
    r.methodLength = placedLength;
    place<U>(url);
    r.url = placedAt;
    r.urlLength = placedLength;
    return r;
  }

  /**
   * Adds a field to its header. Those of the connection (`host`, `content-length`
   * and so on) are the host's.
   */
  header<T>(name: string, value: T): Request {
    place<T>(value);
    if (!add(changetype<usize>(this) + offsetof<Request>("fields"), name)) this.bad = true;
    return this;
  }

  /** Gives it a body. */
  body<T>(body: T): Request {
    place<T>(body);
    this.content = placedAt;
    this.contentLength = placedLength;
    return this;
  }

  /** Sets a shorter deadline than the operator's, in milliseconds. */
  deadline(ms: i64): Request {
    this.within = ms;
    return this;
  }

  /** Begins it. The token to pause with, or a Status, which is negative. */
  send(): i64 {
    if (this.bad) return Status.Invalid;
    return host_http_send(this.method, this.methodLength, this.url, this.urlLength, this.fields, this.fieldsLength, this.content, this.contentLength, this.within);
  }
}

/** HTTP requests in one line; see Request. */
export namespace http {
  /** Begins a GET. The token to pause with, or a Status, which is negative. */
  export function get<U>(url: U): i64 {
    return Request.of<string, U>("GET", url).send();
  }

  /** Begins a POST. The token to pause with, or a Status, which is negative. */
  export function post<U, T>(url: U, contentType: string, body: T): i64 {
    return Request.of<string, U>("POST", url).header<string>("content-type", contentType).body<T>(body).send();
  }
}

/** What a server has answered, whatever it said; see Message.response. */
@unmanaged
export class Response {
  private at: usize;
  private length: i32;

  /** Reads an answer; null if it is cut. */
  static of(answer: Bytes): Response | null {
    const n = answer.length;
    if (n < <i32>abi.ANSWER_HTTP_SIZE) return null;
    if (load<u32>(answer.at, abi.ANSWER_HTTP_HEADER) > <u32>(n - <i32>abi.ANSWER_HTTP_SIZE)) return null;
    const r = changetype<Response>(take(offsetof<Response>(), 4));
    r.at = answer.at;
    r.length = n;
    return r;
  }

  private get headerLength(): i32 {
    return load<i32>(this.at, abi.ANSWER_HTTP_HEADER);
  }

  /** The status code, 200 to 599. */
  get status(): i32 {
    return load<i32>(this.at, abi.ANSWER_HTTP_STATUS);
  }

  /** The header, with names in lower case. */
  get headers(): Attributes {
    return Attributes.of(this.at + abi.ANSWER_HTTP_SIZE, this.headerLength);
  }

  /** The first field of this name, which is in lower case; null if there is none. */
  header(name: string): Bytes | null {
    const at = find(this.at + abi.ANSWER_HTTP_SIZE, this.headerLength, name);
    return at == 0 ? null : valueAt(at);
  }

  /** The body. */
  get body(): Bytes {
    const from = <i32>abi.ANSWER_HTTP_SIZE + this.headerLength;
    return Bytes.of(this.at + from, this.length - from);
  }
}
