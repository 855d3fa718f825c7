// A session with a cluster: the protocol of PostgreSQL over a WebSocket to the control plane, which carries the bytes
// to the relay. One statement at a time.

import { getToken, tunnelAddress } from "../account/api.ts";
import { type Cell, type Column, type Fields, type Message, Splitter } from "./messages.ts";
import * as messages from "./messages.ts";

export const ROWS_MAX = 10_000;
const BYTES_MAX = 64 * 1024 * 1024; // of one result
const PIECE_BYTES = 512 * 1024; // the control plane takes twice that
const CLEARTEXT = 3;
const OPEN_SECONDS = 60; // a cluster that slept has to wake up

export interface Result {
  columns: Column[];
  rows: Cell[][];
  tag: string;
  truncated: boolean;
  notices: Fields[];
  milliseconds: number;
}

/** What the server says of an error; see `Fields` (C: SQLSTATE, M: message, D, H, P: position). */
export class ServerError extends Error {
  constructor(readonly fields: Fields) {
    super(fields.M ?? "the connection was lost");
  }
}

export type Status = "closed" | "connecting" | "idle" | "busy" | "transaction" | "failed";

const STATUS: Record<string, Status> = { I: "idle", T: "transaction", E: "failed" };

interface Waiting {
  result: Result;
  error: ServerError | null;
  bytes: number;
  began: number;
  resolve: (result: Result) => void;
  reject: (error: Error) => void;
}

export class Connection {
  status: Status = "closed";
  serverVersion = "";
  #opened: Promise<void> | null = null;
  #socket: WebSocket | null = null;
  #splitter = new Splitter();
  #waiting: Waiting | null = null;
  #opening: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #token = "";
  #key: { process: number; secret: number } | null = null;
  #refusal: ServerError | null = null;

  constructor(
    readonly cluster: string,
    readonly user: string,
    readonly application: string,
    readonly onStatus: (status: Status) => void,
  ) {}

  /** Connect, unless that was done or begun. Throws ServerError or ApiError. */
  open(): Promise<void> {
    this.#opened ??= this.#begin();
    return this.#opened;
  }

  async #begin(): Promise<void> {
    this.#become("connecting");
    try {
      this.#token = await getToken(this.cluster, this.user);
      await this.#dial();
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#token = "";
    }
  }

  #dial(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#lost("the cluster does not answer"), OPEN_SECONDS * 1000);
      const settle = <T>(call: (value: T) => void) => (value: T) => {
        clearTimeout(timer);
        call(value);
      };
      this.#opening = { resolve: settle(resolve) as () => void, reject: settle(reject) };
      this.#splitter = new Splitter();
      this.#refusal = null;
      const socket = new WebSocket(tunnelAddress(this.cluster), "postgresql");
      socket.binaryType = "arraybuffer";
      socket.onopen = () =>
        this.#send(
          messages.startup({
            user: this.user,
            database: "postgres",
            application_name: this.application,
            client_encoding: "UTF8",
          }),
        );
      socket.onmessage = (event) => {
        for (const message of this.#splitter.push(new Uint8Array(event.data))) this.#take(message);
      };
      socket.onclose = (event) => this.#lost(event.reason || "the connection was lost");
      this.#socket = socket;
    });
  }

  /** Run one statement. Throws ServerError. */
  async run(statement: string): Promise<Result> {
    await this.open();
    this.#become("busy");
    return new Promise((resolve, reject) => {
      const result = { columns: [], rows: [], tag: "", truncated: false, notices: [], milliseconds: 0 };
      this.#waiting = { result, error: null, bytes: 0, began: performance.now(), resolve, reject };
      for (const message of messages.execute(statement, ROWS_MAX)) this.#send(message);
      this.#send(messages.sync());
    });
  }

  /** Ask the server to end what runs; it ends with the server's error. */
  cancel(): void {
    if (!this.#key || !this.#waiting) return;
    const { process, secret } = this.#key;
    const socket = new WebSocket(tunnelAddress(this.cluster), "postgresql");
    socket.onopen = () => socket.send(messages.cancel(process, secret));
  }

  close(): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send(messages.terminate());
    this.#lost("the connection was closed");
  }

  #send(bytes: Uint8Array<ArrayBuffer>): void {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) this.#socket?.send(bytes.subarray(at, at + PIECE_BYTES));
  }

  #become(status: Status): void {
    if (this.status === status) return;
    this.status = status;
    this.onStatus(status);
  }

  #lost(reason: string): void {
    const socket = this.#socket;
    this.#socket = this.#opened = this.#key = null;
    if (socket) {
      socket.onclose = socket.onmessage = socket.onopen = null;
      socket.close();
    }
    const error = this.#refusal ?? new ServerError({ S: "FATAL", C: "08006", M: reason });
    this.#opening?.reject(error);
    this.#waiting?.reject(this.#waiting.error ?? error);
    this.#opening = this.#waiting = null;
    this.#become("closed");
  }

  #take(message: Message): void {
    const waiting = this.#waiting;
    switch (message.kind) {
      case "authentication":
        if (message.method === CLEARTEXT) this.#send(messages.password(this.#token));
        break;
      case "key":
        this.#key = message;
        break;
      case "parameter":
        if (message.name === "server_version") this.serverVersion = message.value;
        break;
      case "columns":
        if (waiting) waiting.result.columns = message.columns;
        break;
      case "row":
        if (waiting) this.#takeRow(waiting, message.cells, message.bytes);
        break;
      case "copy-data":
        if (waiting) this.#takeRow(waiting, [message.text.replace(/\n$/, "")], message.text.length);
        break;
      case "complete":
        if (waiting) waiting.result.tag = message.tag;
        break;
      case "suspended":
        if (waiting) waiting.result.truncated = true;
        break;
      case "notice":
        waiting?.result.notices.push(message.fields);
        break;
      case "copy-in":
        this.#send(messages.copyFail("the console has no data to copy"));
        break;
      case "error":
        if (waiting) waiting.error ??= new ServerError(message.fields);
        if (message.fields.V !== "ERROR" && message.fields.S !== "ERROR") this.#refusal = new ServerError(message.fields);
        break;
      case "ready":
        this.#ready(message.status);
    }
  }

  #takeRow(waiting: Waiting, cells: Cell[], bytes: number): void {
    waiting.bytes += bytes;
    if (waiting.bytes <= BYTES_MAX && waiting.result.rows.length < ROWS_MAX) waiting.result.rows.push(cells);
    else if (!waiting.result.truncated) {
      waiting.result.truncated = true;
      this.cancel();
    }
  }

  #ready(status: string): void {
    this.#become(STATUS[status] ?? "idle");
    this.#opening?.resolve();
    this.#opening = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (!waiting) return;
    waiting.result.milliseconds = performance.now() - waiting.began;
    // What we have cancelled because it was enough is no error.
    if (waiting.error && !(waiting.result.truncated && waiting.error.fields.C === "57014")) waiting.reject(waiting.error);
    else waiting.resolve(waiting.result);
  }
}
