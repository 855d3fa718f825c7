import assert from "node:assert/strict";
import { test } from "node:test";
import { signed } from "../src/account/signature.ts";
import { snippets } from "../src/cluster/snippets.ts";
import { readPlan } from "../src/query/plan.ts";
import { placeOf, split, statementAt } from "../src/query/statements.ts";
import { changes, type Picture } from "../src/watch/picture.ts";
import { append, charts, type Moment, quantile } from "../src/watch/series.ts";
import { execute, type Message, Splitter, startup } from "../src/wire/messages.ts";

const texts = (text: string) => split(text).map((one) => one.text);

test("semicolons end statements outside of quotes, comments and bodies", () => {
  assert.deepEqual(texts("select 1; select ';'; -- ;\n/* ; /* ; */ */ select \"a;b\";;"), [
    "select 1",
    "select ';'",
    "-- ;\n/* ; /* ; */ */ select \"a;b\"",
  ]);
  assert.deepEqual(texts("select $$;$$, $a$ $$;$a$; select E'\\';'; select 'a''b;'"), [
    "select $$;$$, $a$ $$;$a$",
    "select E'\\';'",
    "select 'a''b;'",
  ]);
  const body = "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end";
  assert.deepEqual(texts(`${body}; begin; end`), [body, "begin", "end"]);
  assert.deepEqual(texts("-- nothing\n"), []);
});

test("the statement under the cursor is the one that is run", () => {
  const text = "select 1;\nselect 2;\n";
  assert.equal(statementAt(text, 9)?.text, "select 1");
  assert.equal(statementAt(text, 12)?.text, "select 2");
  assert.equal(statementAt(text, text.length)?.text, "select 2");
});

test("a position counts characters, not units of UTF-16", () => assert.equal(placeOf("😀x", 2), 2));

test("messages are read whatever pieces they come in", () => {
  const bytes = [
    ...[0x54, 0, 0, 0, 26, 0, 1, 0x6e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0],
    ...[0x44, 0, 0, 0, 15, 0, 2, 0, 0, 0, 1, 0x37, 255, 255, 255, 255],
    ...[0x43, 0, 0, 0, 13, ..."SELECT 1\0".split("").map((one) => one.charCodeAt(0))],
    ...[0x5a, 0, 0, 0, 5, 0x49],
  ];
  const expected: Message[] = [
    { kind: "columns", columns: [{ name: "n", type: 23 }] },
    { kind: "row", cells: ["7", null], bytes: 11 },
    { kind: "complete", tag: "SELECT 1" },
    { kind: "ready", status: "I" },
  ];
  for (const size of [1, 3, 7, bytes.length]) {
    const splitter = new Splitter();
    const found: Message[] = [];
    for (let at = 0; at < bytes.length; at += size)
      found.push(...splitter.push(Uint8Array.from(bytes.slice(at, at + size))));
    assert.deepEqual(found, expected);
  }
});

test("messages are written as the protocol has them", () => {
  assert.deepEqual([...startup({ a: "b" })], [0, 0, 0, 13, 0, 3, 0, 0, 97, 0, 98, 0, 0]);
  const [parse, , describe, run] = execute("x\0y", 5).map((one) => [...one]);
  assert.deepEqual(parse, [0x50, 0, 0, 0, 10, 0, 120, 121, 0, 0, 0]);
  assert.deepEqual(describe, [0x44, 0, 0, 0, 6, 0x50, 0]);
  assert.deepEqual(run, [0x45, 0, 0, 0, 9, 0, 0, 0, 0, 5]);
});

test("a request is signed as botocore signs it", async () => {
  // botocore.auth.SigV4Auth of a POST of {"nonce": 1}, at this time.
  const request = { method: "POST", host: "localhost:1", path: "/console/api/session", body: '{"nonce":1}' };
  const credentials = { accessKeyId: "AKIAEXAMPLE", secretAccessKey: "secret", sessionToken: "token" };
  const headers = await signed(request, "us-east-1", credentials, new Date("2026-11-29T01:02:03.456Z"));
  assert.equal(headers["x-amz-date"], "20261129T010203Z");
  assert.equal(headers["x-amz-security-token"], "token");
  assert.match(
    headers.authorization!,
    /Credential=AKIAEXAMPLE\/20261129\/us-east-1\/dsql\/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=560dcc6394a32fe3a30e551c7310041faf340a39b0cc20c18ba7e579fd85ef86$/,
  );
});

test("a plan's shares are those of its nodes alone", () => {
  const scan = { "Node Type": "Seq Scan", "Relation Name": "t", "Total Cost": 60, "Plan Rows": 9, Filter: "(a > 1)" };
  const { root } = readPlan(JSON.stringify([{ Plan: { "Node Type": "Sort", "Total Cost": 100, Plans: [scan] } }]));
  assert.equal(root.share, 0.4);
  assert.equal(root.children[0]!.share, 0.6);
  assert.equal(root.children[0]!.relation, "t");
  assert.deepEqual(root.children[0]!.details, [["Filter", "(a > 1)"]]);
  assert.throws(() => readPlan("[]"), SyntaxError);
});

const role = (name: string, az: string, pid: number, health = "ok") => ({
  role: name,
  az,
  pid,
  health,
  values: {},
  cluster: { last_sequence: 5 },
});

const picture = (roles: Picture["roles"], leader: string, transactions = 0): Picture => ({
  severity: "fine",
  azs: ["a", "b"],
  leader,
  roles,
  conditions: [],
  usage: {
    transactions,
    ...{ read_only_transactions: 0, occ_conflicts: 0, query_timeouts: 0, bytes_read: 0, bytes_written: 0 },
    ...{ compute_dpu: 0, read_dpu: 0, write_dpu: 0, commit_seconds_sum: 0.003 * transactions },
    ...{ commit_seconds: { "0.001": transactions, "+Inf": 0 } },
  },
});

test("what happens between two pictures is told", () => {
  const before = picture([role("journal", "a", 1), role("journal", "b", 2)], "a");
  const now = picture([role("journal", "a", 1, "down"), role("journal", "b", 3)], "b");
  assert.deepEqual(
    changes(before, now).map((one) => one.text),
    ["journal of a does not answer (down)", "journal of b was started again, as process 3", "b leads"],
  );
  assert.deepEqual(changes(now, now), []);
  const resting = picture(now.roles, "");
  assert.deepEqual(changes(now, resting), [{ text: "the cluster is at rest", bad: false }]);
  assert.equal(changes(now, { ...resting, severity: "down" })[0]!.text, "nobody leads: commits wait");
});

test("rates are of what was added, and nothing where nobody looked", () => {
  let moments: Moment[] = [];
  for (const [at, count] of [[0, 0], [1, 10], [2, 20], [60, 20], [61, 20]] as const)
    moments = append(moments, { at, picture: picture([role("journal", "a", 1)], "a", count) });
  const of = (title: string) => charts(moments).find((one) => one.title === title)!.lines[0]!.values;
  assert.deepEqual(of("Transactions"), [null, 10, 10, null, 0]);
  assert.deepEqual(of("Commit latency"), [null, 0.5, 0.5, null, null]);
});

test("a commit's time is divided among its stages", () => {
  let moments: Moment[] = [];
  for (const count of [0, 10]) {
    const stages = { committed: count, gathering_seconds: count * 0.0005, journal_seconds: count * 0.001 };
    const leader = { ...role("adjudicator", "a", 1), cluster: { ...role("", "", 0).cluster, ...stages } };
    moments = append(moments, { at: count / 10, picture: picture([leader], "a", count) });
  }
  const lines = charts(moments).find((one) => one.title === "Commit stages")!.lines;
  assert.deepEqual(
    lines.map((line) => [line.label, line.values[0], line.values[1]?.toFixed(3)]),
    [["gathering", null, "0.500"], ["journal", null, "1.000"], ["the rest", null, "1.500"]],
  );
});

test("a quantile lies within its bucket", () => {
  assert.equal(quantile([[0.001, 0], [0.002, 10], [Infinity, 0]], 0.5), 1.5);
  assert.equal(quantile([[0.001, 0], [0.002, 0], [Infinity, 3]], 0.5), 2);
  assert.equal(quantile([[0.001, 0]], 0.5), null);
});

test("what is pasted into a shell or a program cannot break out of its quotes", () => {
  const place = {
    ...{ endpoint: "e.dsql.us-east-1.on.aws", address: "127.0.0.1", port: 5432, region: "us-east-1", profile: "dsql" },
    authority: "/tmp/it's \"here\"/ca.pem",
  };
  const all = Object.fromEntries(snippets(place, "tok'en").map((one) => [one.name, one.text]));
  assert.ok(all.psql!.includes(`PGPASSWORD='tok'\\''en'`));
  assert.ok(all.psycopg!.includes(`sslrootcert="/tmp/it's \\"here\\"/ca.pem"`));
});
