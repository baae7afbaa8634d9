/** Text as it may stand in an HTML page. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

const STYLE = `
:root { color-scheme: light dark; --edge: #8884; --warn: #b45309; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; }
p { margin: .3rem 0; } .quiet { opacity: .75; }
.notice { border-left: 4px solid var(--warn); padding: .3rem .8rem; margin: .5rem 0; background: #f59e0b1c; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { padding: .2rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid var(--edge); } th { font-weight: 600; } small { white-space: nowrap; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .45em; border-radius: 2px; }
img { max-width: 100%; height: auto; background: #000; } figure { margin: .6rem 0; } figcaption { font-size: .9rem; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: .8rem; } .pairs figure { margin: 0; }
.row { display: flex; flex-wrap: wrap; gap: 1.2rem; } .scroll { overflow-x: auto; }
@media print { body { margin: 0; max-width: none; } }
`;

/** A whole page that asks for nothing from anywhere: styles inside, pictures as data. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body}
</body>
</html>
`;
}

/** A PNG as an image element. */
export function htmlPicture(png: Uint8Array, description: string): string {
  return `<img alt="${escapeHtml(description)}" src="data:image/png;base64,${Buffer.from(png).toString('base64')}">`;
}

/** A table; cells are HTML already. */
export function htmlTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: 'th' | 'td'): string =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return `<div class="scroll"><table>${line(header, 'th')}${rows.map((cells) => line(cells, 'td')).join('')}</table></div>`;
}
