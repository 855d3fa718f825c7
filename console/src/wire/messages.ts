// PostgreSQL's protocol 3.0, as far as a client of queries needs it: bytes to messages, and messages to bytes. Pure.
// Source: https://www.postgresql.org/docs/15/protocol-message-formats.html

const VERSION = 196608;
const CANCEL_CODE = 80877102;
const HEAD_BYTES = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface Column {
  name: string;
  type: number; // pg_type.oid
}

export type Cell = string | null;
export type Fields = Record<string, string>;

export type Message =
  | { kind: "authentication"; method: number }
  | { kind: "key"; process: number; secret: number }
  | { kind: "parameter"; name: string; value: string }
  | { kind: "ready"; status: string }
  | { kind: "columns"; columns: Column[] }
  | { kind: "row"; cells: Cell[]; bytes: number }
  | { kind: "complete"; tag: string }
  | { kind: "suspended" }
  | { kind: "error"; fields: Fields }
  | { kind: "notice"; fields: Fields }
  | { kind: "notification"; channel: string; payload: string }
  | { kind: "copy-in" }
  | { kind: "copy-data"; text: string }
  | { kind: "other" };

/** Cuts a stream of bytes into messages, whatever pieces it comes in. */
export class Splitter {
  #pending = new Uint8Array(0);

  *push(piece: Uint8Array): Generator<Message> {
    let bytes = piece;
    if (this.#pending.length) {
      bytes = new Uint8Array(this.#pending.length + piece.length);
      bytes.set(this.#pending);
      bytes.set(piece, this.#pending.length);
    }
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const end = at + 1 + new DataView(bytes.buffer, bytes.byteOffset + at + 1).getUint32(0);
      if (end > bytes.length) break;
      yield parse(String.fromCharCode(bytes[at]!), new Reader(bytes.subarray(at + HEAD_BYTES, end)));
      at = end;
    }
    this.#pending = bytes.slice(at);
  }
}

class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  int16(): number {
    this.#at += 2;
    return this.#view.getInt16(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#view.getInt32(this.#at - 4);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  text(): string {
    const end = this.bytes.indexOf(0, this.#at);
    const found = decoder.decode(this.bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return found;
  }

  piece(length: number): string {
    this.#at += length;
    return decoder.decode(this.bytes.subarray(this.#at - length, this.#at));
  }

  rest(): string {
    return this.piece(this.bytes.length - this.#at);
  }

  fields(): Fields {
    const found: Fields = {};
    while (this.bytes[this.#at]) {
      const name = String.fromCharCode(this.bytes[this.#at++]!);
      found[name] = this.text();
    }
    return found;
  }
}

function parse(type: string, body: Reader): Message {
  switch (type) {
    case "R":
      return { kind: "authentication", method: body.int32() };
    case "K":
      return { kind: "key", process: body.int32(), secret: body.int32() };
    case "S":
      return { kind: "parameter", name: body.text(), value: body.text() };
    case "Z":
      return { kind: "ready", status: String.fromCharCode(body.bytes[0]!) };
    case "T":
      return { kind: "columns", columns: columns(body) };
    case "D":
      return { kind: "row", cells: cells(body), bytes: body.bytes.length };
    case "C":
      return { kind: "complete", tag: body.text() };
    case "I":
      return { kind: "complete", tag: "" };
    case "s":
      return { kind: "suspended" };
    case "E":
      return { kind: "error", fields: body.fields() };
    case "N":
      return { kind: "notice", fields: body.fields() };
    case "A":
      body.int32();
      return { kind: "notification", channel: body.text(), payload: body.text() };
    case "G":
      return { kind: "copy-in" };
    case "d":
      return { kind: "copy-data", text: body.rest() };
    default:
      return { kind: "other" };
  }
}

function columns(body: Reader): Column[] {
  return Array.from({ length: body.int16() }, () => {
    const name = body.text();
    body.int32();
    body.int16();
    const type = body.uint32();
    body.int16();
    body.int32();
    body.int16();
    return { name, type };
  });
}

function cells(body: Reader): Cell[] {
  return Array.from({ length: body.int16() }, () => {
    const length = body.int32();
    return length < 0 ? null : body.piece(length);
  });
}

type Part = number | string | { int16: number };

function message(type: string, ...parts: Part[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.map(bytesOf);
  const length = 4 + pieces.reduce((sum, piece) => sum + piece.length, 0);
  const found = new Uint8Array(type.length + length);
  if (type) found[0] = type.charCodeAt(0);
  new DataView(found.buffer).setUint32(type.length, length);
  let at = type.length + 4;
  for (const piece of pieces) {
    found.set(piece, at);
    at += piece.length;
  }
  return found;
}

/** Numbers are four bytes; texts end with a zero. */
function bytesOf(part: Part): Uint8Array {
  if (typeof part === "string") return encoder.encode(`${part.replaceAll("\0", "")}\0`);
  const found = new Uint8Array(typeof part === "number" ? 4 : 2);
  const view = new DataView(found.buffer);
  if (typeof part === "number") view.setInt32(0, part);
  else view.setInt16(0, part.int16);
  return found;
}

export const startup = (parameters: Record<string, string>) =>
  message("", VERSION, ...Object.entries(parameters).flat(), "");

export const password = (text: string) => message("p", text);
export const cancel = (process: number, secret: number) => message("", CANCEL_CODE, process, secret);
export const copyFail = (why: string) => message("f", why);
export const sync = () => message("S");
export const terminate = () => message("X");

/** Return what runs one statement and asks for `rows` of its rows at most. */
export function execute(statement: string, rows: number): Uint8Array<ArrayBuffer>[] {
  return [
    message("P", "", statement, { int16: 0 }),
    message("B", "", "", { int16: 0 }, { int16: 0 }, { int16: 0 }),
    message("D", "P"), // the portal without a name: its letter, and the end of an empty text
    message("E", "", rows),
  ];
}
