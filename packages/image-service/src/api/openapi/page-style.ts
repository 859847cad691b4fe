/** How the page looks: narrow and wide, by day and by night. */
export const PAGE_STYLE: string = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#fff, #14171c);
  --raised: light-dark(#f5f7f9, #1c2027);
  --line: light-dark(#dde2e8, #2e343e);
  --text: light-dark(#1b2129, #e4e8ee);
  --quiet: light-dark(#566170, #9aa5b4);
  --link: light-dark(#0b5cad, #7cb8ff);
  --get: light-dark(#0b5cad, #7cb8ff);
  --post: light-dark(#1b6e3c, #77d69b);
  --put: light-dark(#8a5300, #f0b95e);
  --delete: light-dark(#b3261e, #ff9a92);
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  display: grid; grid-template-columns: minmax(15rem, 19rem) minmax(0, 1fr);
}
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: 0.875em/1.5 ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
nav { border-right: 1px solid var(--line); background: var(--raised); }
nav > div { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding: 1.5rem 1.25rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: 0.25rem 0; color: inherit; overflow-wrap: anywhere; }
nav details { margin: 0 0 0.25rem; }
nav > div > a { font-weight: 600; }
nav summary { font-weight: 600; cursor: pointer; padding: 0.25rem 0; }
nav li { font-size: 0.875rem; color: var(--quiet); padding-left: 1rem; line-height: 1.4; }
main { padding: 2rem clamp(1rem, 4vw, 3.5rem) 6rem; max-width: 62rem; min-width: 0; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 0.5rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 0.25rem; }
h3 { font-size: 0.8rem; margin: 1.25rem 0 0.25rem; color: var(--quiet); text-transform: uppercase; letter-spacing: 0.05em; }
p { margin: 0.25rem 0 0.75rem; max-width: 44rem; }
p code { white-space: nowrap; }
.quiet { color: var(--quiet); }
details.item { border: 1px solid var(--line); border-radius: 8px; margin: 0.5rem 0; background: var(--ground); }
details.item > summary {
  cursor: pointer; padding: 0.6rem 0.9rem; list-style: none; display: grid;
  grid-template-columns: 4.5rem minmax(0, 1fr); gap: 0 0.75rem; align-items: baseline;
}
details.item > summary::-webkit-details-marker { display: none; }
details.item > summary:hover { background: var(--raised); border-radius: 8px; }
details.item[open] > summary { border-bottom: 1px solid var(--line); border-radius: 8px 8px 0 0; }
details.item > summary code { overflow-wrap: anywhere; font-weight: 600; }
details.item > summary .says { grid-column: 2; color: var(--quiet); font-size: 0.9rem; }
details.item > div { padding: 0.75rem 0.9rem 1.1rem; scroll-margin-top: 5rem; }
.schema > summary { grid-template-columns: minmax(0, 1fr) !important; }
.method { font: 700 0.75rem/1.5 ui-monospace, Menlo, Consolas, monospace; letter-spacing: 0.03em; }
.get, .head { color: var(--get); } .post { color: var(--post); }
.put, .patch { color: var(--put); } .delete { color: var(--delete); }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th { text-align: left; font-weight: 600; }
th, td { padding: 0.35rem 1rem 0.35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > * { border-bottom: 0; }
th[scope=row] { white-space: nowrap; font-weight: 400; width: 1%; }
td { overflow-wrap: break-word; min-width: 5rem; }
td:nth-child(2):not(:last-child) { width: 12rem; }
td:last-child { padding-right: 0; }
.must { color: var(--delete); font-size: 0.8rem; }
@media (max-width: 52rem) {
  body { display: block; }
  nav { border-right: 0; border-bottom: 1px solid var(--line); }
  nav > div { position: static; max-height: none; padding: 0.75rem 1rem; }
  main { padding-top: 1.25rem; }
  h1 { font-size: 1.4rem; }
  details.item > summary { grid-template-columns: minmax(0, 1fr); }
  details.item > summary .says { grid-column: 1; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: minmax(0, max-content) minmax(0, 1fr); border-bottom: 1px solid var(--line); padding: 0.35rem 0; }
  tr:last-child { border-bottom: 0; }
  th, td { border-bottom: 0; padding: 0 0.75rem 0 0; }
  th[scope=row], td:nth-child(2):not(:last-child) { width: auto; }
  th[scope=row] { white-space: normal; overflow-wrap: anywhere; }
  td:last-child { grid-column: 1 / -1; }
}
@media print { nav { display: none; } body { display: block; } }
`;
