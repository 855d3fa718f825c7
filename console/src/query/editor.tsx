// The editor: SQL in PostgreSQL's dialect, with completion from the schema, and errors marked where they are.

import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, type Range, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "preact/hooks";

const NONCE = document.querySelector<HTMLMetaElement>("meta[name=style-nonce]")?.content ?? "";

// Colours are the page's, so that dark and light need no second theme.
const HIGHLIGHTS = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: tags.typeName, color: "var(--code-type)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
]);

const setMark = StateEffect.define<{ from: number; to: number } | null>();

const mark = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(found, transaction) {
    let marks = transaction.docChanged ? Decoration.none : found;
    for (const effect of transaction.effects)
      if (effect.is(setMark)) {
        const range: Range<Decoration>[] = effect.value
          ? [Decoration.mark({ class: "error-mark" }).range(effect.value.from, effect.value.to)]
          : [];
        marks = Decoration.set(range);
      }
    return marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export interface EditorHandle {
  text: () => string;
  /** What is selected, or else where the cursor is: from equals to. */
  selection: () => { from: number; to: number };
  replace: (text: string) => void;
  insert: (text: string) => void;
  /** Mark a place as wrong, and go there; returns its line and column, from 1. */
  blame: (place: number) => { line: number; column: number };
  clearBlame: () => void;
  focus: () => void;
}

interface Props {
  initial: string;
  names: Record<string, Record<string, string[]>>;
  onReady: (handle: EditorHandle) => void;
  onRun: () => void;
  onChange: (text: string) => void;
}

export function Editor({ initial, names, onReady, onRun, onChange }: Props) {
  const parent = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const language = useRef(new Compartment());
  const calls = useRef({ onRun, onChange });
  calls.current = { onRun, onChange };
  useEffect(() => {
    const run = () => {
      calls.current.onRun();
      return true;
    };
    view.current = new EditorView({
      parent: parent.current!,
      state: EditorState.create({
        doc: initial,
        extensions: [
          EditorView.cspNonce.of(NONCE),
          lineNumbers(),
          history(),
          drawSelection(),
          highlightActiveLine(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          indentUnit.of("  "),
          EditorState.tabSize.of(2),
          syntaxHighlighting(HIGHLIGHTS),
          placeholder("select …   (Ctrl+Enter runs it)"),
          mark,
          language.current.of(dialect(names)),
          EditorView.contentAttributes.of({ "aria-label": "SQL editor. Escape, then Tab leaves it." }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) calls.current.onChange(update.state.doc.toString());
          }),
          keymap.of([
            { key: "Mod-Enter", run },
            { key: "F5", run, preventDefault: true },
            ...completionKeymap,
            ...historyKeymap,
            ...defaultKeymap,
            indentWithTab,
          ]),
        ],
      }),
    });
    onReady(handleOf(view.current));
    return () => view.current?.destroy();
  }, []);
  useEffect(() => {
    view.current?.dispatch({ effects: language.current.reconfigure(dialect(names)) });
  }, [names]);
  return <div class="editor" ref={parent} />;
}

const dialect = (names: Props["names"]) =>
  sql({ dialect: PostgreSQL, schema: names, defaultSchema: "public", upperCaseKeywords: false });

function handleOf(view: EditorView): EditorHandle {
  return {
    text: () => view.state.doc.toString(),
    selection: () => view.state.selection.main,
    replace: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    insert: (text) => {
      view.dispatch(view.state.replaceSelection(text));
      view.focus();
    },
    blame: (place) => blame(view, place),
    clearBlame: () => view.dispatch({ effects: setMark.of(null) }),
    focus: () => view.focus(),
  };
}

function blame(view: EditorView, place: number) {
  const { doc } = view.state;
  const from = Math.min(place, Math.max(0, doc.length - 1));
  const line = doc.lineAt(from);
  const word = /^[\w$"']+|^\S/.exec(doc.sliceString(from, line.to));
  const to = Math.min(doc.length, from + (word?.[0].length ?? 1));
  const effects = [EditorView.scrollIntoView(from), ...(to > from ? [setMark.of({ from, to })] : [])];
  view.dispatch({ selection: { anchor: from }, effects });
  return { line: line.number, column: from - line.from + 1 };
}
