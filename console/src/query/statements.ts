// Cutting what was typed into statements, as psql does: semicolons count outside of quotes, comments, parentheses
// and bodies of SQL functions (BEGIN ATOMIC ... END). Pure.

export interface Statement {
  text: string;
  from: number; // where it begins in the whole text, in UTF-16 units
  to: number;
}

const TOKEN =
  /--[^\n]*|\/\*|'|"|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[();]/g;

const COMMENT = /--[^\n]*|\/\*[^]*?\*\//g;

/** Return the statements of a text, without the semicolons, and without what is only blank or comment. */
export function split(text: string): Statement[] {
  const found: Statement[] = [];
  let from = 0;
  let scan = new Scan();
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const token = match[0];
    const end = quotedEnd(text, token, match.index);
    if (end) TOKEN.lastIndex = end;
    else if (token === ";" && scan.depth === 0) {
      found.push(trimmed(text, from, match.index));
      from = match.index + 1;
      scan = new Scan();
    } else scan.take(token);
  }
  found.push(trimmed(text, from, text.length));
  return found.filter((one) => one.text.replace(COMMENT, "").trim());
}

/** Return the statement in which, or directly behind which, a place is. */
export function statementAt(text: string, place: number): Statement | undefined {
  const all = split(text);
  return all.find((one) => place <= one.to + 1) ?? all.at(-1);
}

/** How deep in parentheses and bodies the scan is. */
class Scan {
  depth = 0;
  #words: string[] = [];
  #body = 0;

  take(token: string): void {
    if (token === "(") this.depth++;
    else if (token === ")") this.depth = Math.max(0, this.depth - 1);
    else if (token !== ";") this.#word(token.toLowerCase());
  }

  #word(word: string): void {
    if (this.#words.length < 4) this.#words.push(word);
    if (!/^create (or replace )?(function|procedure)/.test(this.#words.join(" "))) return;
    const opens = word === "begin" || (word === "case" && this.#body > 0);
    if (opens) this.#body++;
    else if (word === "end" && this.#body > 0) this.#body--;
    else return;
    this.depth += opens ? 1 : -1;
  }
}

/** Return where what a token opens ends, 0 if it opens nothing. */
function quotedEnd(text: string, token: string, at: number): number {
  const start = at + token.length;
  if (token.startsWith("--")) return start;
  if (token === "/*") return commentEnd(text, start);
  if (token === '"') return closing(text, '"', start);
  if (token === "'") return stringEnd(text, at);
  return token.startsWith("$") ? closing(text, token, start) : 0;
}

function closing(text: string, mark: string, start: number): number {
  const end = text.indexOf(mark, start);
  return end < 0 ? text.length : end + mark.length;
}

/** A doubled quote opens the next string at once, which comes to the same; only E'' has backslashes. */
function stringEnd(text: string, at: number): number {
  const escapes = /(^|[^\w$])e$/i.test(text.slice(Math.max(0, at - 2), at));
  for (let place = at + 1; place < text.length; place++) {
    if (escapes && text[place] === "\\") place++;
    else if (text[place] === "'") return place + 1;
  }
  return text.length;
}

/** Comments nest. */
function commentEnd(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text.startsWith("/*", at)) depth++, at++;
    else if (text.startsWith("*/", at)) {
      at++;
      if (!--depth) return at + 1;
    }
  }
  return text.length;
}

function trimmed(text: string, from: number, to: number): Statement {
  const piece = text.slice(from, to);
  const start = from + (piece.length - piece.trimStart().length);
  return { text: piece.trim(), from: start, to: Math.max(start, from + piece.trimEnd().length) };
}

/** Return the place, in UTF-16 units, that a server's position (in characters, from 1) means. */
export function placeOf(statement: string, position: number): number {
  let place = 0;
  for (let left = position - 1; left > 0 && place < statement.length; left--)
    place += statement.codePointAt(place)! > 0xffff ? 2 : 1;
  return place;
}
