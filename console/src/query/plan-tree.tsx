import { type Plan, type PlanNode } from "./plan.ts";

export function PlanTree({ plan }: { plan: Plan }) {
  return (
    <div class="plan">
      {plan.facts.length > 0 && (
        <dl class="facts">
          {plan.facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      <ul role="tree" aria-label="Plan">
        <Node node={plan.root} />
      </ul>
    </div>
  );
}

function Node({ node }: { node: PlanNode }) {
  const percent = Math.round(node.share * 100);
  return (
    <li role="treeitem" aria-expanded={node.children.length > 0 ? true : undefined}>
      <div class={`node ${node.share > 0.4 ? "hot" : ""}`}>
        <div class="node-head">
          <strong>{node.title}</strong>
          {node.relation && <span class="mono">{node.relation}</span>}
          <span class="share" title={`${percent} % of the ${node.milliseconds === null ? "cost" : "time"} is spent here`}>
            <meter min={0} max={100} value={percent}>
              {percent} %
            </meter>{" "}
            {percent} %
          </span>
        </div>
        <div class="node-figures faint">
          {node.rows !== null && <span>{node.rows.toLocaleString()} rows</span>}
          <span>{estimate(node)}</span>
          {node.milliseconds !== null && <span>{node.milliseconds.toFixed(2)} ms</span>}
          <span>cost {node.cost.toFixed(2)}</span>
        </div>
        {node.details.length > 0 && (
          <details>
            <summary>{node.details.map(([name]) => name).join(", ")}</summary>
            <dl>
              {node.details.map(([name, value]) => (
                <>
                  <dt>{name}</dt>
                  <dd class="mono">{value}</dd>
                </>
              ))}
            </dl>
          </details>
        )}
      </div>
      {node.children.length > 0 && (
        <ul role="group">
          {node.children.map((child, at) => (
            <Node key={at} node={child} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** Say what was expected, and how wrong that was if it was wrong by much. */
function estimate(node: PlanNode): string {
  const expected = `${node.planRows.toLocaleString()} expected`;
  if (node.rows === null) return expected;
  const off = Math.max(node.rows, 1) / Math.max(node.planRows, 1);
  if (off > 10) return `${expected} (${Math.round(off)} times more came)`;
  return off < 0.1 ? `${expected} (${Math.round(1 / off)} times fewer came)` : expected;
}
