// The console: who is signed in, and where they are.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Account, resume, signOut, whenSignedOut } from "./account/api.ts";
import { SignIn } from "./account/signin.tsx";
import { ClusterList } from "./cluster/list.tsx";
import { ClusterPage } from "./cluster/page.tsx";
import { Failure, Spinner } from "./parts/pieces.tsx";
import { linkTo, useRoute } from "./parts/route.ts";

function Console() {
  const [account, setAccount] = useState<Account | null>();
  const [ended, setEnded] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const route = useRoute();
  useEffect(() => {
    whenSignedOut(() => {
      setEnded(true);
      setAccount(null);
    });
    resume().then(setAccount, setError);
  }, []);
  if (error) return <Failure error={error} />;
  if (account === undefined) return <Spinner />;
  if (account === null) return <SignIn onSignedIn={setAccount} ended={ended} />;
  const leave = async () => {
    await signOut().catch(() => {});
    setEnded(false);
    setAccount(null);
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Header account={account} onSignOut={leave} />
      <main id="main" tabIndex={-1}>
        {route.cluster ? <ClusterPage key={route.cluster} id={route.cluster} tab={route.tab} /> : <ClusterList />}
      </main>
    </>
  );
}

function skip(event: Event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Header({ account, onSignOut }: { account: Account; onSignOut: () => void }) {
  return (
    <header class="top">
      <a class="brand" href={linkTo()} aria-label="dsql, all clusters">
        <img src="assets/icon.svg" alt="" width="26" height="26" /> dsql
      </a>
      <span class="where">{account.region}</span>
      <span class="who" title={account.principal}>
        {account.principal.replace(/^.*:/, "")}
      </span>
      <button type="button" class="small quiet" onClick={onSignOut}>
        Sign out
      </button>
    </header>
  );
}

render(<Console />, document.getElementById("console")!);
