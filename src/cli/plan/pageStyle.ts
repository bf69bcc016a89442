/** Colours follow the reader's light or dark setting; the series' ones are told apart by colour-blind people too. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f5f6f8; --ink: #1b1f24; --soft: #59636e; --grid: #e1e4e8; --level: #b3261e;
  --s0: #0063a6; --s1: #c04f00; --s2: #00795a; --s3: #9b3f7a; --s4: #8a6d00; --s5: #4d5bd0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --card: #1f2429; --ink: #e8eaed; --soft: #a3adb8; --grid: #333a41; --level: #ff8a80;
    --s0: #5ab4f5; --s1: #ff9a4d; --s2: #3ecfa0; --s3: #e58ac4; --s4: #e0c04c; --s5: #9aa5ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 12px; }
h2 { font-size: 1.15rem; margin: 32px 0 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 0 20px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 12px; }
.cards li { background: var(--card); border-left: 4px solid var(--c); border-radius: 6px; padding: 12px 16px; }
.cards b, .cards strong, .cards span { display: block; }
.cards strong { font-size: 1.8rem; line-height: 1.2; }
.cards span { color: var(--soft); }
.remark { margin: 12px 0 0; padding: 10px 16px; background: var(--card); border-radius: 6px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 24px; margin-bottom: 12px; }
.legend svg { width: 34px; height: 12px; margin-right: 8px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 16px 8px; overflow-x: auto; background: var(--card); border-radius: 6px; }
figcaption { font-weight: 600; margin-bottom: 6px; }
figure svg { display: block; width: 100%; min-width: 440px; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg text.label { font-size: 13px; }
svg text.level { fill: var(--level); }
.grid { stroke: var(--grid); }
.axis { stroke: var(--soft); }
line.level { stroke: var(--level); stroke-dasharray: 6 4; }
.series polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.series circle, .series rect, .series path { fill: var(--c); stroke: var(--card); }
${[0, 1, 2, 3, 4, 5].map((index) => `.s${index} { --c: var(--s${index}); }`).join("\n")}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
footer { margin-top: 28px; color: var(--soft); font-size: 0.9rem; max-width: 75ch; }
`
