// Small pieces that every page has.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError } from "../account/api.ts";

export function Badge({ tone, children }: { tone: "good" | "bad" | "busy" | "calm"; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function StatusBadge({ status }: { status: string }) {
  const tone = status === "ACTIVE" ? "good" : /FAILED/.test(status) ? "bad" : /ING|PENDING/.test(status) ? "busy" : "calm";
  return <Badge tone={tone}>{status.replaceAll("_", " ").toLowerCase()}</Badge>;
}

export function Failure({ error }: { error: Error }) {
  return (
    <div class="notice bad" role="alert">
      {error instanceof ApiError && <strong>{error.code.replace(/Exception$/, "")}</strong>} {error.message}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Spinner({ label = "Loading" }: { label?: string }) {
  return (
    <p class="spinner" role="status">
      <span aria-hidden="true" /> {label}…
    </p>
  );
}

/** A button that copies a text, and says that it did. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () => navigator.clipboard.writeText(text).then(() => setDone(true));
  return (
    <button type="button" class="small quiet" onClick={copy} aria-live="polite">
      {done ? "Copied" : label}
    </button>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog: focus stays inside, Escape closes it, and where the focus was it returns to. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby={name}>
      <h2 id={name}>{title}</h2>
      {children}
    </dialog>
  );
}

interface FormProps {
  action: string; // what the button says
  tone?: "danger";
  disabled?: boolean;
  submit: () => Promise<void>;
  onCancel?: () => void;
  children: ComponentChildren;
}

/** A form that shows that it works, and what went wrong. */
export function Form({ action, tone, disabled, submit, onCancel, children }: FormProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const send = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await submit();
    } catch (caught) {
      setError(caught as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={send} aria-busy={busy}>
      {children}
      {error && <Failure error={error} />}
      <div class="actions">
        {onCancel && (
          <button type="button" class="quiet" onClick={onCancel}>
            Cancel
          </button>
        )}
        <button type="submit" class={tone ?? "primary"} disabled={busy || disabled}>
          {busy ? "One moment…" : action}
        </button>
      </div>
    </form>
  );
}

export const ago = (seconds: number) => {
  const passed = Date.now() / 1000 - seconds;
  const units: [number, string][] = [[86400, "day"], [3600, "hour"], [60, "minute"]];
  for (const [length, unit] of units) {
    const count = Math.floor(passed / length);
    if (count >= 1) return `${count} ${unit}${count > 1 ? "s" : ""} ago`;
  }
  return "just now";
};
