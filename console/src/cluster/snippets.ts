// What is pasted elsewhere to connect to a cluster, driver by driver. Pure.

import type { Place } from "../account/api.ts";

export interface Snippet {
  name: string;
  needs: string; // what has to be installed
  text: string;
}

/** Return the snippets, with a token in them or ("") with what makes one from the AWS credentials in the environment. */
export function snippets(place: Place, token: string): Snippet[] {
  return [
    { name: "psql", needs: token ? "psql" : "psql, AWS CLI", text: psql(place, token) },
    { name: "psycopg", needs: 'pip install boto3 "psycopg[binary]"', text: psycopg(place, token) },
    { name: "asyncpg", needs: "pip install boto3 asyncpg", text: asyncpg(place, token) },
    { name: "SQLAlchemy", needs: 'pip install boto3 sqlalchemy "psycopg[binary]"', text: sqlalchemy(place, token) },
    { name: "Node", needs: "npm install pg @aws-sdk/dsql-signer", text: node(place, token) },
    { name: "JDBC", needs: "org.postgresql:postgresql", text: jdbc(place, token) },
    { name: "Token", needs: "pip install boto3", text: tokenOnly(place) },
  ];
}

const inShell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const inConninfo = (text: string) => (/[\s'\\]/.test(text) ? `'${text.replace(/['\\]/g, "\\$&")}'` : text);
const quoted = (text: string) => JSON.stringify(text); // for Python, JavaScript and Java alike

function psql({ endpoint, address, port, authority, region }: Place, token: string): string {
  const made = `"$(aws dsql generate-db-connect-admin-auth-token --hostname ${endpoint} --region ${region})"`;
  const options = `host=${endpoint} hostaddr=${address} port=${port} user=admin dbname=postgres`;
  const secure = `sslmode=verify-full sslrootcert=${inConninfo(authority)}`;
  return `PGPASSWORD=${token ? inShell(token) : made} \\\n  psql ${inShell(`${options} ${secure}`)}\n`;
}

/** Lines of Python that make `token`. */
function pythonToken({ endpoint, region }: Place, token: string): string {
  if (token) return `token = ${quoted(token)}  # good for 15 minutes\n`;
  return `token = boto3.client("dsql", region_name=${quoted(region)}).generate_db_connect_admin_auth_token(\n    ${quoted(endpoint)}\n)\n`;
}

const pythonImports = (token: string, module: string) => (token ? `import ${module}\n` : `import boto3\nimport ${module}\n`);

function psycopg(place: Place, token: string): string {
  return `${pythonImports(token, "psycopg")}
${pythonToken(place, token)}with psycopg.connect(
    host=${quoted(place.endpoint)},
    hostaddr=${quoted(place.address)},  # not needed where DNS knows the name
    port=${place.port},
    user="admin",
    dbname="postgres",
    password=token,
    sslmode="verify-full",
    sslrootcert=${quoted(place.authority)},
) as connection:
    print(connection.execute("select current_user").fetchone())
`;
}

function asyncpg(place: Place, token: string): string {
  return `import asyncio
import ssl

${pythonImports(token, "asyncpg")}

class EndpointContext(ssl.SSLContext):
    """Verifies the endpoint's name, whatever address is connected to."""

    def wrap_bio(self, incoming, outgoing, server_side=False, server_hostname=None, session=None):
        return super().wrap_bio(incoming, outgoing, server_side, ${quoted(place.endpoint)}, session)


async def main():
    context = EndpointContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(${quoted(place.authority)})
${pythonToken(place, token).replace(/^(?=.)/gm, "    ")}    connection = await asyncpg.connect(
        host=${quoted(place.address)},
        port=${place.port},
        user="admin",
        database="postgres",
        password=token,
        ssl=context,
    )
    print(await connection.fetchval("select current_user"))
    await connection.close()


asyncio.run(main())
`;
}

function sqlalchemy(place: Place, token: string): string {
  return `${pythonImports(token, "sqlalchemy as sa")}
engine = sa.create_engine(
    "postgresql+psycopg://admin@${place.endpoint}:${place.port}/postgres",
    connect_args={
        "hostaddr": ${quoted(place.address)},  # not needed where DNS knows the name
        "sslmode": "verify-full",
        "sslrootcert": ${quoted(place.authority)},
    },
    pool_recycle=3000,  # a session lasts for an hour at most
    use_native_hstore=False,  # is looked for in a savepoint, which there may be none of
)


@sa.event.listens_for(engine, "do_connect")
def fresh_token(dialect, record, arguments, parameters):
${pythonToken(place, token).replace(/^(?=.)/gm, "    ")}    parameters["password"] = token


with engine.connect() as connection:
    print(connection.execute(sa.text("select current_user")).scalar())
`;
}

function node(place: Place, token: string): string {
  const made = token
    ? `const token = ${quoted(token)}; // good for 15 minutes`
    : `const signer = new DsqlSigner({ hostname: ${quoted(place.endpoint)}, region: ${quoted(place.region)} });
const token = await signer.getDbConnectAdminAuthToken();`;
  return `// save as connect.mjs
import { readFileSync } from "node:fs";
import pg from "pg";
${token ? "" : 'import { DsqlSigner } from "@aws-sdk/dsql-signer";\n'}
${made}
const client = new pg.Client({
  host: ${quoted(place.address)},
  port: ${place.port},
  user: "admin",
  database: "postgres",
  password: token,
  ssl: { ca: readFileSync(${quoted(place.authority)}, "utf8"), servername: ${quoted(place.endpoint)} },
});
await client.connect();
console.log((await client.query("select current_user")).rows);
await client.end();
`;
}

function jdbc(place: Place, token: string): string {
  const made = token
    ? `String token = ${quoted(token)}; // good for 15 minutes`
    : `String token = DsqlUtilities.builder().region(Region.of(${quoted(place.region)})).build()
    .generateDbConnectAdminAuthToken(request -> request.hostname(${quoted(place.endpoint)}));`;
  return `// The name has to resolve. Where no DNS knows it, a line in /etc/hosts does:
//   ${place.address} ${place.endpoint}
${made}
Properties properties = new Properties();
properties.setProperty("user", "admin");
properties.setProperty("password", token);
properties.setProperty("sslmode", "verify-full");
properties.setProperty("sslrootcert", ${quoted(place.authority)});
try (Connection connection = DriverManager.getConnection(
    ${quoted(`jdbc:postgresql://${place.endpoint}:${place.port}/postgres`)}, properties)) {
  ResultSet rows = connection.createStatement().executeQuery("select current_user");
  rows.next();
  System.out.println(rows.getString(1));
}
`;
}

function tokenOnly(place: Place): string {
  return `import boto3

client = boto3.client("dsql", region_name=${quoted(place.region)})
print(client.generate_db_connect_admin_auth_token(${quoted(place.endpoint)}))  # for the user admin
print(client.generate_db_connect_auth_token(${quoted(place.endpoint)}))  # for any other
`;
}
