// The explorer's frame: the choice of view, index and theme. Its state is the address.
import { render } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { setToken, useAnswer } from "./api.js";
import { CompareView } from "./compare.jsx";
import { RunsView } from "./runs.jsx";
import { SearchView } from "./search.jsx";
import { formatState, parseState } from "./state.js";
import { StatisticsView } from "./statistics.jsx";
import { Problem, Select } from "./ui.jsx";

const VIEWS = [["search", "Search"], ["compare", "Compare"], ["runs", "Runs"], ["statistics", "Statistics"]];
const THEME = "splade-lucene-theme";

const SETTLED = 250; // milliseconds without a change before the address is written: browsers limit how often a page may change it

/** The state in the address, and a function that updates both. With `step`, the change becomes an entry of the browser's history. */
function useAddress() {
  const [state, setState] = useState(() => parseState(location.hash));
  const current = useRef(state);
  const timer = useRef(0);
  const write = useCallback((step) => {
    clearTimeout(timer.current);
    const address = formatState(current.current);
    if (address !== location.hash) history[step ? "pushState" : "replaceState"](null, "", address);
  }, []);
  useEffect(() => {
    const follow = () => {
      clearTimeout(timer.current);
      current.current = parseState(location.hash);
      setState(current.current);
    };
    addEventListener("popstate", follow);
    addEventListener("hashchange", follow);
    return () => {
      removeEventListener("popstate", follow);
      removeEventListener("hashchange", follow);
    };
  }, []);
  const update = useCallback((patch, step = false) => {
    if (step) write(false); // so that Back returns to the latest state
    current.current = { ...current.current, ...patch };
    if (step) write(true);
    else {
      clearTimeout(timer.current);
      timer.current = setTimeout(write, SETTLED, false);
    }
    setState(current.current);
  }, []);
  return [state, update];
}

function App() {
  const [address, update] = useAddress();
  const [files, setFiles] = useState({});
  const listed = useAnswer({ path: "api/v1/indexes" });
  const indexes = listed.data ?? [];
  const state = { ...address, index: address.index || indexes[0]?.name || "" };
  const served = indexes.find((each) => each.name === state.index);
  useEffect(() => {
    const title = VIEWS.find(([view]) => view === state.view)[1];
    document.title = [state.view === "search" && state.query, title, state.index].filter(Boolean).join(" · ");
  }, [state.view, state.query, state.index]);
  useEffect(() => {
    const keys = (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, dialog")) return;
      const query = document.getElementById("query");
      if (query) {
        event.preventDefault();
        query.focus();
        query.select();
      }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const known = served || !listed.data;
  const props = { state, update, served, indexes };
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>Skip to content</a>
      <Header state={state} update={update} indexes={indexes} />
      {listed.error && listed.error.status !== 401 && <main id="main"><Problem error={listed.error} retry={listed.retry} /></main>}
      {listed.error?.status === 401 && <main id="main"><TokenForm onToken={listed.retry} loading={listed.loading} /></main>}
      {listed.data && !indexes.length && <main id="main"><p class="problem">The service has no indexes.</p></main>}
      {listed.data && indexes.length > 0 && !known && (
        <main id="main">
          <div class="problem" role="alert">
            <p>This link refers to the index “{state.index}”, which this service does not have.</p>
            <p class="remedy">Choose another index above.</p>
          </div>
        </main>
      )}
      {served && state.view === "search" && <SearchView {...props} />}
      {served && state.view === "compare" && <CompareView {...props} />}
      {served && state.view === "runs" && <RunsView {...props} files={files} setFiles={setFiles} />}
      {served && state.view === "statistics" && <StatisticsView {...props} />}
    </>
  );
}

function Header({ state, update, indexes }) {
  const names = indexes.map((each) => each.name);
  const choose = (index) => update({ index, doc: "", filter: "", facets: {}, ranges: {} }, true);
  return (
    <header class="top">
      <a class="mark" href={formatState({ ...parseState(""), index: state.index })}>splade_lucene</a>
      <nav aria-label="Views">
        {VIEWS.map(([view, title]) => (
          <a key={view} href={formatState({ ...state, view, doc: "" })} aria-current={view === state.view ? "page" : undefined}>{title}</a>
        ))}
      </nav>
      <div class="right">
        {(indexes.length > 1 || !names.includes(state.index)) && names.length > 0 && <Select label="Index" hidden value={state.index} options={names.includes(state.index) ? names : [state.index, ...names]} onChange={choose} />}
        <ThemeSwitch />
      </div>
    </header>
  );
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "system");
  const choose = (chosen) => {
    setTheme(chosen);
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    try {
      if (chosen === "system") localStorage.removeItem(THEME);
      else localStorage.setItem(THEME, chosen);
    } catch {
      // storage is blocked: the choice lasts until the page is closed
    }
  };
  const options = [["system", "System"], ["light", "Light"], ["dark", "Dark"]];
  return <Select label="Theme" hidden value={theme} options={options} onChange={choose} />;
}

function TokenForm({ onToken, loading }) {
  const [text, setText] = useState("");
  const [sent, setSent] = useState("");
  const submit = (event) => {
    event.preventDefault();
    setToken(text.trim());
    setSent(text);
    onToken();
  };
  return (
    <form class="token" onSubmit={submit}>
      <h1>Access token</h1>
      <p><label for="token">This service requires a token. Enter the one from its <code>--token-file</code>.</label></p>
      <div class="actions">
        <input id="token" type="password" autocomplete="current-password" autofocus value={text} onInput={(event) => setText(event.target.value)} />
        <button type="submit" class="primary" disabled={!text.trim()}>Continue</button>
      </div>
      {sent && sent === text && !loading && <p class="field-error" role="alert">The service did not accept this token.</p>}
    </form>
  );
}

render(<App />, document.getElementById("app"));
