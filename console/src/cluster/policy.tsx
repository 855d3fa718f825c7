import { useEffect, useState } from "preact/hooks";
import { type Cluster, deletePolicy, getPolicy, type Policy, putPolicy } from "../account/api.ts";
import { useLoaded } from "../parts/loading.ts";
import { Failure, Form, Spinner } from "../parts/pieces.tsx";

export function PolicyPage({ cluster }: { cluster: Cluster }) {
  const asked = () => getPolicy(cluster.identifier).then((policy) => ({ policy }));
  const { value, error, reload } = useLoaded(asked, cluster.identifier);
  if (error) return <Failure error={error} />;
  if (!value) return <Spinner />;
  return <Editor cluster={cluster} known={value.policy} onChange={reload} />;
}

function Editor({ cluster, known, onChange }: { cluster: Cluster; known: Policy | null; onChange: () => Promise<void> }) {
  const [text, setText] = useState("");
  const [said, setSaid] = useState("");
  useEffect(() => setText(known ? pretty(known.policy) : example(cluster.arn)), [known?.policyVersion]);
  const save = async () => {
    setSaid("");
    checkJson(text);
    await putPolicy(cluster.identifier, text, known?.policyVersion);
    await onChange();
    setSaid("Saved. It holds for every request and every new connection from now on.");
  };
  const remove = async () => {
    await deletePolicy(cluster.identifier);
    await onChange();
    setSaid("Removed.");
  };
  return (
    <div class="card">
      <h2>Resource policy</h2>
      <p class="faint">
        {known
          ? `Version ${known.policyVersion}. It is evaluated together with the policies of who asks.`
          : "The cluster has none: what users may do is said by their own policies alone. Here is one to begin with, not saved yet."}
      </p>
      <Form action={known ? "Save" : "Attach policy"} submit={save} onCancel={undefined}>
        <label>
          Policy document
          <textarea
            class="mono"
            rows={16}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        {said && (
          <p class="notice good" role="status">
            {said}
          </p>
        )}
      </Form>
      {known && (
        <Form action="Remove policy" tone="danger" submit={remove}>
          <span />
        </Form>
      )}
    </div>
  );
}

/** Throws an error that says where the text is no JSON. */
function checkJson(text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${(error as Error).message}`);
  }
}

function pretty(policy: string): string {
  try {
    return JSON.stringify(JSON.parse(policy), null, 2);
  } catch {
    return policy;
  }
}

function example(arn: string): string {
  const statement = {
    Effect: "Allow",
    Principal: { AWS: "*" },
    Action: ["dsql:DbConnect"],
    Resource: arn,
    Condition: { IpAddress: { "aws:SourceIp": "127.0.0.1/32" } },
  };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] }, null, 2);
}
