// AWS's connector for node-postgres, unmodified. Run with the variables of `dsql env`.
// The endpoint's name leads to PGHOSTADDR, as a line in /etc/hosts would have it.
import dns from "node:dns";
import { readFileSync } from "node:fs";
import { AuroraDSQLPool } from "@aws/aurora-dsql-node-postgres-connector";

const { DSQL_ENDPOINT, PGHOSTADDR, PGPORT, PGSSLROOTCERT } = process.env;
const lookUp = dns.lookup;
dns.lookup = (name, ...rest) => lookUp(name === DSQL_ENDPOINT ? PGHOSTADDR : name, ...rest);

const pool = new AuroraDSQLPool({
  host: DSQL_ENDPOINT,
  port: Number(PGPORT),
  user: "admin",
  max: 2,
  ssl: { ca: readFileSync(PGSSLROOTCERT, "utf8") },
});
await pool.query("create table node_item (id int primary key, name text)");
await Promise.all([1, 2, 3].map((id) => pool.query("insert into node_item values ($1, $2)", [id, `v${id}`])));
const { rows } = await pool.query("select id, name from node_item where id > $1 order by id", [1]);
console.log(JSON.stringify(rows));
await pool.end();
