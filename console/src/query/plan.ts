// What EXPLAIN (FORMAT JSON) answers, as a tree to be drawn. Pure.

export interface PlanNode {
  title: string;
  relation: string;
  details: [name: string, value: string][];
  planRows: number;
  rows: number | null; // in all loops; null if it was not run
  milliseconds: number | null; // in all loops, what is below included
  cost: number; // as the planner sees it, what is below included
  share: number; // of all time (of all cost if it was not run) without what is below, between 0 and 1
  children: PlanNode[];
}

export interface Plan {
  root: PlanNode;
  facts: [name: string, value: string][];
}

type Json = Record<string, unknown>;

const SHOWN_ELSEWHERE = new Set([
  ..."Node Type,Plans,Plan Rows,Plan Width,Startup Cost,Total Cost,Actual Rows,Actual Loops".split(","),
  ..."Actual Startup Time,Actual Total Time,Parent Relationship,Parallel Aware,Async Capable".split(","),
  ..."Relation Name,Schema,Alias,Strategy,Join Type,Index Name".split(","),
]);

/** Return the plan in the answer's text. Throws SyntaxError for any other text. */
export function readPlan(text: string): Plan {
  const [answer] = JSON.parse(text) as Json[];
  if (!answer?.Plan) throw new SyntaxError("it is not a plan");
  const root = read(answer.Plan as Json);
  const weigh = root.milliseconds === null ? (node: PlanNode) => node.cost : (node: PlanNode) => node.milliseconds ?? 0;
  setShares(root, weigh(root), weigh);
  return { root, facts: factsOf(answer) };
}

function read(json: Json): PlanNode {
  const loops = number(json["Actual Loops"]) ?? 1;
  const time = number(json["Actual Total Time"]);
  const rows = number(json["Actual Rows"]);
  return {
    title: titleOf(json),
    relation: relationOf(json),
    details: Object.entries(json)
      .filter(([name]) => !SHOWN_ELSEWHERE.has(name))
      .map(([name, value]) => [name, show(value)]),
    planRows: number(json["Plan Rows"]) ?? 0,
    rows: rows === null ? null : rows * loops,
    milliseconds: time === null ? null : time * loops,
    cost: number(json["Total Cost"]) ?? 0,
    share: 0,
    children: ((json.Plans as Json[]) ?? []).map(read),
  };
}

function setShares(node: PlanNode, whole: number, weigh: (node: PlanNode) => number): void {
  const below = node.children.reduce((sum, child) => sum + weigh(child), 0);
  node.share = whole > 0 ? Math.min(1, Math.max(0, (weigh(node) - below) / whole)) : 0;
  for (const child of node.children) setShares(child, whole, weigh);
}

function titleOf(json: Json): string {
  const words = [json["Node Type"]];
  const join = json["Join Type"];
  if (join && join !== "Inner") words.push(`(${join})`);
  if (json.Strategy === "Hashed") words[0] = `Hash${words[0]}`;
  if (json.Strategy === "Sorted") words[0] = `Group${words[0]}`;
  return words.join(" ");
}

function relationOf(json: Json): string {
  const { Alias: alias, Schema: schema } = json;
  const name = json["Relation Name"];
  const index = json["Index Name"] ? `${json["Index Name"]} ` : "";
  if (!name) return index.trim();
  const shown = schema && schema !== "public" ? `${schema}.${name}` : `${name}`;
  return `${index ? `${index}on ` : ""}${shown}${alias && alias !== name ? ` ${alias}` : ""}`;
}

function factsOf(answer: Json): [string, string][] {
  const facts: [string, string][] = [];
  const add = (name: string, value: unknown, unit = "") => value !== undefined && facts.push([name, show(value) + unit]);
  add("Planning", answer["Planning Time"], " ms");
  add("Execution", answer["Execution Time"], " ms");
  const dpu = answer["Statement DPU Estimate"] as Json | undefined;
  if (dpu) for (const kind of ["Compute", "Read", "Write", "Total"]) add(`${kind} DPU`, dpu[kind]);
  return facts;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return value.map(show).join(", ");
  if (value !== null && typeof value === "object")
    return Object.entries(value)
      .map(([name, inner]) => `${name} ${show(inner)}`)
      .join(", ");
  return String(value);
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
